"""The gathering writer: what arrives while a transaction runs goes into the next one together."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import random
from typing import TypeVar

from workflow_ray.errors import StoreBusy, StoreError, StoreUnavailable, WorkflowError
from workflow_ray.ports import Clock
from workflow_ray.records import Fence, GroupResult, Topic, WriteGroup
from workflow_ray_adapters.sql.counters import Counters
from workflow_ray_adapters.sql.database import Aborted, Database
from workflow_ray_adapters.sql.moves import Moves, OngoingMove
from workflow_ray_adapters.sql.requests import Arrivals, Request
from workflow_ray_adapters.sql.rows import AT_ONCE
from workflow_ray_adapters.sql.session import Session, store_time
from workflow_ray_adapters.sql.stream import Receive
from workflow_ray_adapters.sql.transaction import Done, Move, Store, Work, perform

T = TypeVar("T")
log = logging.getLogger(__name__)

PAUSES = (0.0, 0.01, 0.02, 0.04)
"""Seconds at most between tries of a transaction that others are in the way of."""


@dataclass(frozen=True)
class Batch:
    """What one transaction is for."""

    requests: Sequence[Request]
    moves: Sequence[OngoingMove]

    def __len__(self) -> int:
        return len(self.requests) + len(self.moves)

    def halves(self) -> Iterator["Batch"]:
        """Two that together are this one, and that are smaller where it has more than one thing."""
        for part in (slice(None, len(self) // 2), slice(len(self) // 2, None)):
            both = [*self.requests, *self.moves][part]
            yield Batch(
                [one for one in both if isinstance(one, Request)],
                [one for one in both if isinstance(one, OngoingMove)],
            )

    def fail(self, error: Exception) -> None:
        """Of those that have no answer yet."""
        for request in self.requests:
            request.fail(error)
        for move in self.moves:
            move.fail(error)


class Writer:
    """Runs one transaction at a time; `announce` is told what each has done, before those who asked
    are answered.

    awaited: what readers of a topic wait for; it is asked from within a transaction.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        moves: Moves,
        announce: Callable[[Done], None],
        awaited: Callable[[Topic], Sequence[Receive]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._announce = announce
        self._awaited = awaited
        self._arrivals = Arrivals()
        self._moves = moves
        self._counters = Counters()
        self._arrived = moves.woken
        self._is_closed = False

    # --- asking ---------------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        answers: list[GroupResult] = await self._submit(Request(Store(groups))).answer()
        return answers

    async def call(self, call: Callable[[Session], T]) -> T:
        answer: T = await self._submit(Request(call)).answer()
        return answer

    async def move(self, fence: Fence, limit: int, wait: float) -> int:
        self._check_open()
        return await self._moves.run(Move(fence, limit), wait)

    def _submit(self, request: Request) -> Request:
        self._check_open()
        if not self._arrivals.put(request):
            raise StoreBusy(
                self._database.where, "its queue of writes is full. Try again in a moment."
            )
        self._arrived.set()
        return request

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable(self._database.where, "it is closed.")

    # --- doing ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let `run` end once it has done what was asked until now."""
        self._is_closed = True
        self._moves.close()
        self._arrived.set()

    async def run(self) -> None:
        """Work until closed. However it ends, nobody is left without an answer."""
        batch = Batch((), ())
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while batch := self._gather():
                    await self._commit_safely(batch)
                    # a database may have done it between two turns of the loop
                    await asyncio.sleep(0)
                if self._is_closed:
                    return
        finally:
            self._is_closed = True
            self._abandon(batch)

    def _gather(self) -> Batch:
        return Batch(self._arrivals.batch(), self._moves.due())

    async def _commit_safely(self, batch: Batch) -> None:
        """No error of ours ends the writer: those whose answer it cost are told, and the next
        transaction begins.
        """
        try:
            await self._commit(batch)
        except Exception as error:
            log.exception(
                "%s: the writer failed. It goes on with the next transaction.", self._database.where
            )
            batch.fail(
                StoreUnavailable(self._database.where, f"its writer failed ({error!r}). Try again.")
            )
            self._moves.pause()

    async def _commit(self, batch: Batch, *, again: bool = True) -> None:
        """Make one transaction of the batch. Where it fails try again, then in halves: only what is
        at fault gets the error.
        """
        waiting = self._moves.waiting() if again else []
        for move in (*batch.moves, *waiting):
            move.begin()
        try:
            done = await self._transact(self._work(batch, waiting))
        except Exception as error:
            for move in waiting:
                move.pause()
            # the store's fault, or this one's
            if isinstance(error, StoreError) or (len(batch) == 1 and not again):
                batch.fail(self._blamed(error))
            else:
                for part in [batch] if again else batch.halves():
                    await self._commit(part, again=False)
        else:
            self._settle(batch, waiting, done)

    async def _transact(self, work: Work) -> Done:
        """What was in the way of an aborted transaction has mostly ended by the next try."""
        for pause in PAUSES:
            with suppress(Aborted):
                return await self._database.write(partial(perform, work=work))
            await asyncio.sleep(pause * random())
        return await self._database.write(partial(perform, work=work))

    def _blamed(self, error: Exception) -> Exception:
        if isinstance(error, Aborted):
            return StoreUnavailable(
                self._database.where,
                f"other transactions were in the way each time ({error}). Try again.",
            )
        return error

    def _work(self, batch: Batch, waiting: Sequence[OngoingMove]) -> Work:
        asked = [request.what for request in batch.requests]
        return Work(
            counters=self._counters,
            now=store_time(self._clock),
            stores=[what for what in asked if isinstance(what, Store)],
            calls=[what for what in asked if not isinstance(what, Store)],
            moves=[move.what for move in batch.moves],
            waiting=[move.what for move in waiting],
            awaited=self._awaited,
        )

    def _settle(self, batch: Batch, waiting: Sequence[OngoingMove], done: Done) -> None:
        self._announce(done)
        stores, calls = iter(done.stores), iter(done.calls)
        for request in batch.requests:
            request.settle(next(stores) if isinstance(request.what, Store) else next(calls))
        for move, answer in zip(
            (*batch.moves, *waiting), (*done.moves, *done.waiting), strict=False
        ):
            if isinstance(answer, WorkflowError):
                move.fail(answer)
            else:
                move.succeed(answer)
        if done.moves or done.waiting:
            self._moves.note(is_drained=done.drained)
        else:
            for move in waiting:
                move.pause()
        if done.undone or AT_ONCE in done.notification.due:
            self._moves.wake()
        self._moves.wake_those_of(done.notification.roles)

    def _abandon(self, batch: Batch) -> None:
        error = StoreUnavailable(
            self._database.where, "its writer has stopped. Open the store again."
        )
        self._moves.fail(error)
        batch.fail(error)
        while batch := self._gather():
            batch.fail(error)
