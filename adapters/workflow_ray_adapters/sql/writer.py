"""The gathering writer: what arrives while a transaction runs goes into the next one together."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from random import random
from typing import Any, TypeVar

from workflow_ray.errors import StoreBusy, StoreError, StoreUnavailable
from workflow_ray.ports import Clock
from workflow_ray.records import Fence, GroupResult, WriteGroup
from workflow_ray_adapters.sql.database import Aborted, Database
from workflow_ray_adapters.sql.requests import Arrivals, Request
from workflow_ray_adapters.sql.rows import AT_ONCE, micros
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.transaction import Done, Move, Receive, Store, Work, perform

T = TypeVar("T")
PAUSES = (0.0, 0.01, 0.02, 0.04)
"""Seconds at most between tries of a transaction that others are in the way of."""


class Writer:
    """Runs one transaction at a time; `announce` is told what each has done, before those who asked are answered.

    receives: those that stand when a transaction begins.
    """

    def __init__(
        self, database: Database, clock: Clock, announce: Callable[[Work, Done], None], receives: Callable[[], Sequence[Receive]]
    ) -> None:
        self._database, self._clock, self._announce, self._receives = database, clock, announce, receives
        self._arrivals = Arrivals()
        self._arrived = asyncio.Event()
        self._parked: list[Request] = []  # moves that stand: the next transaction that adds an event makes them too
        self._nudged: list[Request] = []  # parked ones that the next transaction makes in any case
        self._drained = False  # nothing of the outbox is due, as far as is known: a move has but to wait
        self._closed = False

    # --- asking ----------------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        answers: list[GroupResult] = await self._submit(Request(Store(groups))).answer()
        return answers

    async def call(self, call: Callable[[Session], T]) -> T:
        answer: T = await self._submit(Request(call)).answer()
        return answer

    async def move(self, fence: Fence, limit: int, wait: float) -> int:
        request = Request(Move(fence, limit), patient=wait > 0)
        if self._drained and request.patient and not self._closed:
            self._park(request)
        else:
            self._submit(request)
        try:
            await self._clock.wait(request.settled, wait)
        finally:
            self._dismiss(request)
        moved: int = await request.answer()
        return moved

    @property
    def waited_for(self) -> bool:
        """Whether a move is parked."""
        return bool(self._parked)

    def nudge(self) -> None:
        """Make the parked moves now: something may have become due without a transaction of this writer."""
        self._drained = False
        self._nudged += self._parked
        self._parked = []
        self._arrived.set()

    def _submit(self, request: Request) -> Request:
        if self._closed:
            raise StoreUnavailable(self._database.where, "it is closed.")
        if not self._arrivals.put(request):
            raise StoreBusy(self._database.where, "its queue of writes is full. Try again in a moment.")
        self._arrived.set()
        return request

    def _dismiss(self, request: Request) -> None:
        """Let a move stand no longer: the transaction that it may be in is its last."""
        request.patient = False
        if request in self._parked:
            self._parked.remove(request)
            request.settle(0)

    # --- doing -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let `run` end once it has done what was asked until now."""
        self._closed = True
        for request in list(self._parked):
            self._dismiss(request)
        self._arrived.set()

    async def run(self) -> None:
        """Work until closed. However it ends, nobody is left without an answer."""
        batch: list[Request] = []
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while batch := self._gather():
                    await self._commit(batch)
                if self._closed:
                    return
        finally:
            self._closed = True
            self._abandon([*batch, *self._parked])
            while batch := self._gather():
                self._abandon(batch)

    def _gather(self) -> list[Request]:
        nudged, self._nudged = self._nudged, []
        return nudged + self._arrivals.batch()

    async def _commit(self, requests: Sequence[Request], *, again: bool = True) -> None:
        """Make one transaction of the requests. Where it fails try again, then in halves: only what is at fault gets the error."""
        parked = tuple(self._parked) if again else ()
        work = self._work(requests, parked)
        try:
            done = await self._transact(work)
        except StoreError as error:  # the store's fault, not a request's
            self._settle((request, error) for request in requests)
        except Exception as error:
            if again:
                await self._commit(requests, again=False)
            elif len(requests) == 1:
                self._settle([(requests[0], self._blamed(error))])
            else:
                middle = len(requests) // 2
                await self._commit(requests[:middle], again=False)
                await self._commit(requests[middle:], again=False)
        else:
            self._announce(work, done)
            self._settle(_answered(requests, done))
            self._settle(zip(parked, done.parked, strict=False))
            self._drained = done.drained if done.moves or done.parked else self._drained
            if done.undone or done.notification.roles or AT_ONCE in done.notification.due:
                self.nudge()

    async def _transact(self, work: Work) -> Done:
        """What was in the way of an aborted transaction has mostly ended by the next try."""
        for pause in PAUSES:
            with suppress(Aborted):
                return await self._database.write(partial(perform, work=work))
            await asyncio.sleep(pause * random())
        return await self._database.write(partial(perform, work=work))

    def _blamed(self, error: Exception) -> Exception:
        if isinstance(error, Aborted):
            return StoreUnavailable(self._database.where, f"other transactions were in the way each time ({error}). Try again.")
        return error

    def _work(self, requests: Sequence[Request], parked: Sequence[Request]) -> Work:
        asked = [request.what for request in requests]
        return Work(
            now=micros(self._clock.now()),
            stores=[what for what in asked if isinstance(what, Store)],
            moves=[what for what in asked if isinstance(what, Move)],
            calls=[what for what in asked if callable(what)],
            parked=[request.what for request in parked if isinstance(request.what, Move)],
            receives=self._receives(),
        )

    def _settle(self, answered: Iterable[tuple[Request, Any]]) -> None:
        for request, answer in answered:
            if request.patient and isinstance(answer, int) and not self._closed:
                request.moved += answer
                self._park(request)
            else:
                request.settle(answer)
        self._parked = [request for request in self._parked if not request.settled.is_set()]

    def _park(self, request: Request) -> None:
        if request not in self._parked:
            self._parked.append(request)

    def _abandon(self, requests: Iterable[Request]) -> None:
        for request in requests:
            if not request.settled.is_set():
                request.settle(StoreUnavailable(self._database.where, "its writer has stopped. Open the store again."))


def _answered(requests: Sequence[Request], done: Done) -> Iterator[tuple[Request, Any]]:
    stores, moves, calls = iter(done.stores), iter(done.moves), iter(done.calls)
    for request in requests:
        if isinstance(request.what, Store):
            yield request, next(stores)
        elif isinstance(request.what, Move):
            yield request, next(moves)
        else:
            yield request, next(calls)
