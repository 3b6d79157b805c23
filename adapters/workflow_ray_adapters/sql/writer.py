"""The gathering writer: what is asked while a transaction runs goes into the next one together.

Its states, and their transitions:

    IDLE -- ASKED --> COMMITTING -- DRAINED --> IDLE
    IDLE, COMMITTING -- CLOSED --> CLOSING -- DRAINED --> STOPPED
    any of them -- ENDED --> STOPPED

One transaction runs at a time. What is tried where it fails is in the module `trials`; the states
of a move, which may be made by several transactions, are in the module `moves`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum, auto
from functools import partial
from random import random
from typing import TypeVar, assert_never

from workflow_ray.errors import StoreBusy, StoreError, StoreUnavailable
from workflow_ray.ports import Clock
from workflow_ray.records import Fence, GroupResult, Topic, WriteGroup
from workflow_ray_adapters.sql.arrivals import Receive
from workflow_ray_adapters.sql.counters import Counters
from workflow_ray_adapters.sql.database import Aborted, Database
from workflow_ray_adapters.sql.moves import MoveInput, Moves
from workflow_ray_adapters.sql.requests import Arrivals, CallRequest, Queued, StoreRequest
from workflow_ray_adapters.sql.rows import AT_ONCE
from workflow_ray_adapters.sql.session import store_time
from workflow_ray_adapters.sql.transaction import Call, Done, Move, Work, perform
from workflow_ray_adapters.sql.trials import (
    Batch,
    Committed,
    Failed,
    Outcome,
    Stage,
    Trial,
    Unavailable,
)

T = TypeVar("T")
log = logging.getLogger(__name__)

PAUSES = (0.0, 0.01, 0.02, 0.04)
"""Seconds at most between tries of a transaction that others are in the way of."""


# IntEnum, here and in the module `moves`: an int's hash is cheap, and each transaction looks the
# table up several times.
class State(IntEnum):
    IDLE = auto()
    """Nothing was asked."""
    COMMITTING = auto()
    """What was asked is being done."""
    CLOSING = auto()
    """As COMMITTING; no more requests are accepted."""
    STOPPED = auto()
    """No request is accepted, and none waits."""


class Input(IntEnum):
    ASKED = auto()
    """Something may have been asked."""
    DRAINED = auto()
    """Nothing that was asked is left."""
    CLOSED = auto()
    """The store closes."""
    ENDED = auto()
    """The writer's task ends, in whatever way."""


TRANSITIONS: Mapping[tuple[State, Input], State] = {
    (State.IDLE, Input.ASKED): State.COMMITTING,
    (State.COMMITTING, Input.DRAINED): State.IDLE,
    (State.IDLE, Input.CLOSED): State.CLOSING,
    (State.COMMITTING, Input.CLOSED): State.CLOSING,
    (State.CLOSING, Input.CLOSED): State.CLOSING,
    (State.CLOSING, Input.ASKED): State.CLOSING,
    (State.CLOSING, Input.DRAINED): State.STOPPED,
    (State.STOPPED, Input.CLOSED): State.STOPPED,
    **{(state, Input.ENDED): State.STOPPED for state in State},
}


class Writer:
    """Run one transaction at a time.

    Args:
        database: Where to.
        clock: Times transactions, where it is a test's.
        moves: The calls of `move`, which the store's other parts may wake.
        announce: Learns what each transaction has done, before those who asked get their answers.
        awaited: Returns what readers of a topic wait for. It is called within a transaction.
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
        self._asked = moves.woken
        self._state = State.IDLE

    # --- asking ---------------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        request = StoreRequest(groups)
        self._submit(request)
        return await request.reply.wait()

    async def call(self, call: Call[T]) -> T:
        request = CallRequest(call)
        self._submit(request)
        return await request.reply.wait()

    async def move(self, fence: Fence, limit: int, wait: float) -> int:
        self._check_open()
        return await self._moves.run(Move(fence, limit), wait)

    def _submit(self, request: Queued) -> None:
        self._check_open()
        if not self._arrivals.put(request):
            raise StoreBusy(
                self._database.where, "its queue of writes is full. Try again in a moment."
            )
        self._asked.set()

    def _check_open(self) -> None:
        if self._state in (State.CLOSING, State.STOPPED):
            raise StoreUnavailable(self._database.where, "it is closed.")

    # --- doing ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let `run` end once it has done what was asked until now."""
        self._take(Input.CLOSED)
        self._moves.take(MoveInput.EXPIRE)
        self._asked.set()

    async def run(self) -> None:
        """Work until closed. However it ends, nobody is left without an answer."""
        batch = Batch()
        try:
            while self._state is not State.STOPPED:
                await self._asked.wait()
                self._asked.clear()
                self._take(Input.ASKED)
                while batch := self._gather():
                    await self._commit_safely(batch)
                    if self._arrivals or self._asked.is_set():
                        # a database may have committed between two turns of the loop
                        await asyncio.sleep(0)
                self._take(Input.DRAINED)
        finally:
            self._take(Input.ENDED)
            self._abandon(batch)

    def _take(self, what: Input) -> None:
        self._state = TRANSITIONS[self._state, what]

    def _gather(self) -> Batch:
        return Batch.of([*self._arrivals.batch(), *self._moves.due()])

    async def _commit_safely(self, batch: Batch) -> None:
        """Commit, and let no error of ours end the writer: the requests that it concerns get an
        error, and the next transaction begins.
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
            self._moves.take(MoveInput.OVER)

    async def _commit(self, batch: Batch) -> None:
        """Try the batch, and where that fails its parts, so that only the request at fault gets the
        error.
        """
        trials = deque([Trial(Stage.TOGETHER, batch, self._moves.waiting())])
        while trials:
            trial = trials.popleft()
            trial.begin()
            match outcome := await self._attempt(trial):
                case Committed(done):
                    self._announce(done)
                    trial.settle(done)
                    self._wake_moves(done)
                case Failed(error):
                    trials.extendleft(reversed(trial.retry(error)))
                case Unavailable(error):
                    trial.fail(error)
                case _:
                    assert_never(outcome)

    async def _attempt(self, trial: Trial) -> Outcome:
        try:
            return Committed(await self._transact(self._work(trial)))
        except StoreError as error:
            return Unavailable(error)
        except Aborted as error:
            return Failed(
                StoreUnavailable(
                    self._database.where,
                    f"other transactions were in the way each time ({error}). Try again.",
                )
            )
        except Exception as error:
            return Failed(error)

    async def _transact(self, work: Work) -> Done:
        """Run the transaction, again where others abort it: mostly they have ended by then."""
        for pause in PAUSES:
            with suppress(Aborted):
                return await self._database.write(partial(perform, work=work))
            await asyncio.sleep(pause * random())
        return await self._database.write(partial(perform, work=work))

    def _work(self, trial: Trial) -> Work:
        return Work(
            counters=self._counters,
            now=store_time(self._clock),
            calls=[request.call for request in trial.batch.calls],
            stores=[request.groups for request in trial.batch.stores],
            moves=[request.move for request in trial.batch.moves],
            joining=[request.move for request in trial.joining],
            awaited=self._awaited,
        )

    def _wake_moves(self, done: Done) -> None:
        """Wake the moves that a commit concerns."""
        if done.moves or done.joining:
            self._moves.note(is_drained=done.drained)
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
