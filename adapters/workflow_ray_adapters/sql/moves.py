"""Calls of `move`: each publishes what is due, and what becomes due until its wait is over.

The states of such a request, and where its inputs lead:

                    BEGIN         OVER     WAKE          EXPIRE        LEAVE         FAIL
    WAITING         RUNNING       -        DUE           ENDED         ENDED         ENDED
    DUE             RUNNING       -        -             LAST          ENDED         ENDED
    RUNNING         -             WAITING  WOKEN         LAST_RUNNING  LAST_RUNNING  ENDED
    WOKEN           RUNNING       DUE      -             LAST_RUNNING  LAST_RUNNING  ENDED
    LAST            LAST_RUNNING  -        -             -             ENDED         ENDED
    LAST_RUNNING    -             ENDED    -             -             -             ENDED

A dash: it stays. ENDED takes all and stays.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from typing import assert_never

from workflow_ray.ports import Clock
from workflow_ray.records import Fence, RoleName
from workflow_ray_adapters.sql.requests import Reply
from workflow_ray_adapters.sql.transaction import Answered, Move, MoveAnswer, Refused


class MoveState(IntEnum):
    WAITING = auto()
    """Nothing is due. A transaction that adds an event also makes it."""
    DUE = auto()
    """The next transaction makes it."""
    RUNNING = auto()
    """A transaction that makes it runs."""
    WOKEN = auto()
    """As RUNNING; something has become due meanwhile, so the next transaction makes it again."""
    LAST = auto()
    """As DUE; then it ends."""
    LAST_RUNNING = auto()
    """As RUNNING; then it ends."""
    ENDED = auto()
    """It has its answer."""


class MoveInput(IntEnum):
    BEGIN = auto()
    """A transaction that makes it begins, or begins again after it failed."""
    OVER = auto()
    """That transaction has committed, or it was made without it."""
    WAKE = auto()
    """Something may have become due."""
    EXPIRE = auto()
    """Its wait is over, or the store closes."""
    LEAVE = auto()
    """Its caller has gone."""
    FAIL = auto()
    """It has an error for an answer."""


S, On = MoveState, MoveInput
TRANSITIONS: Mapping[tuple[MoveState, MoveInput], MoveState] = {
    (S.WAITING, On.BEGIN): S.RUNNING,
    (S.WAITING, On.OVER): S.WAITING,
    (S.WAITING, On.WAKE): S.DUE,
    (S.WAITING, On.EXPIRE): S.ENDED,
    (S.WAITING, On.LEAVE): S.ENDED,
    (S.DUE, On.BEGIN): S.RUNNING,
    (S.DUE, On.OVER): S.DUE,
    (S.DUE, On.WAKE): S.DUE,
    (S.DUE, On.EXPIRE): S.LAST,
    (S.DUE, On.LEAVE): S.ENDED,
    (S.RUNNING, On.BEGIN): S.RUNNING,
    (S.RUNNING, On.OVER): S.WAITING,
    (S.RUNNING, On.WAKE): S.WOKEN,
    (S.RUNNING, On.EXPIRE): S.LAST_RUNNING,
    (S.RUNNING, On.LEAVE): S.LAST_RUNNING,
    (S.WOKEN, On.BEGIN): S.RUNNING,
    (S.WOKEN, On.OVER): S.DUE,
    (S.WOKEN, On.WAKE): S.WOKEN,
    (S.WOKEN, On.EXPIRE): S.LAST_RUNNING,
    (S.WOKEN, On.LEAVE): S.LAST_RUNNING,
    (S.LAST, On.BEGIN): S.LAST_RUNNING,
    (S.LAST, On.OVER): S.LAST,
    (S.LAST, On.WAKE): S.LAST,
    (S.LAST, On.EXPIRE): S.LAST,
    (S.LAST, On.LEAVE): S.ENDED,
    (S.LAST_RUNNING, On.BEGIN): S.LAST_RUNNING,
    (S.LAST_RUNNING, On.OVER): S.ENDED,
    (S.LAST_RUNNING, On.WAKE): S.LAST_RUNNING,
    (S.LAST_RUNNING, On.EXPIRE): S.LAST_RUNNING,
    (S.LAST_RUNNING, On.LEAVE): S.LAST_RUNNING,
    **{(state, On.FAIL): S.ENDED for state in S},
    **{(S.ENDED, what): S.ENDED for what in On},
}


@dataclass(eq=False)
class MoveRequest:
    """A call of `move`, between its beginning and its answer."""

    move: Move
    state: MoveState
    moved: int = 0
    reply: Reply[int] = field(default_factory=Reply[int])

    def take(self, what: MoveInput) -> None:
        """Go to the next state. At the end the caller gets the number of entries moved."""
        self.state = TRANSITIONS[self.state, what]
        if self.state is MoveState.ENDED:
            self.reply.give(self.moved)

    def settle(self, answer: MoveAnswer) -> None:
        """Take what a transaction has answered."""
        match answer:
            case Answered(moved):
                self.moved += moved
                self.take(MoveInput.OVER)
            case Refused(error):
                self.fail(error)
            case _:
                assert_never(answer)

    def fail(self, error: Exception) -> None:
        self.reply.fail(error)
        self.take(MoveInput.FAIL)


class Outbox(Enum):
    """What is known of the outbox."""

    DRAINED = auto()
    """Nothing in it is due."""
    UNKNOWN = auto()
    """Something in it may be due."""


class Moves:
    """The requests of one writer that have not ended."""

    def __init__(self, clock: Clock) -> None:
        self.woken = asyncio.Event()  # some are due
        self._clock = clock
        self._requests: list[MoveRequest] = []
        self._outbox = Outbox.UNKNOWN

    async def run(self, move: Move, wait: float) -> int:
        """Return how many entries were moved when the wait, in seconds, is over."""
        request = MoveRequest(move, self._first_state(wait))
        self._requests.append(request)
        if request.state is not MoveState.WAITING:
            self.woken.set()
        try:
            await self._clock.wait(request.reply.given, wait)
            request.take(MoveInput.EXPIRE)
            return await request.reply.wait()
        finally:
            request.take(MoveInput.LEAVE)

    def fences(self) -> set[Fence]:
        """Return the fences that somebody moves under."""
        return {request.move.fence for request in self._open()}

    def due(self) -> list[MoveRequest]:
        """Return the requests that the next transaction makes in any case."""
        states = (MoveState.DUE, MoveState.LAST)
        return [request for request in self._open() if request.state in states]

    def waiting(self) -> list[MoveRequest]:
        """Return the requests that a transaction also makes if it adds an event."""
        return [request for request in self._open() if request.state is MoveState.WAITING]

    def wake(self) -> bool:
        """Make all due, because something may be. Return whether there are any."""
        return self._wake(self._open())

    def wake_those_of(self, roles: Collection[RoleName]) -> bool:
        """Make the requests of these roles due: they have a new epoch. Return whether there are
        any.
        """
        return bool(roles) and self._wake(
            [request for request in self._open() if request.move.fence.role in roles]
        )

    def forget(self) -> None:
        """Let who begins to move find out whether something is due. Those who wait stay so."""
        self._outbox = Outbox.UNKNOWN

    def note(self, *, is_drained: bool) -> None:
        """Note what is known after a transaction that has moved."""
        self._outbox = Outbox.DRAINED if is_drained else Outbox.UNKNOWN

    def take(self, what: MoveInput) -> None:
        """Let all take it."""
        for request in self._open():
            request.take(what)

    def fail(self, error: Exception) -> None:
        """End all, because nobody makes them any more."""
        for request in self._open():
            request.fail(error)

    def _first_state(self, wait: float) -> MoveState:
        if wait <= 0:
            return MoveState.LAST
        match self._outbox:
            case Outbox.DRAINED:
                return MoveState.WAITING
            case Outbox.UNKNOWN:
                return MoveState.DUE
            case _:
                assert_never(self._outbox)

    def _wake(self, requests: list[MoveRequest]) -> bool:
        self._outbox = Outbox.UNKNOWN
        for request in requests:
            request.take(MoveInput.WAKE)
        if requests:
            self.woken.set()
        return bool(requests)

    def _open(self) -> list[MoveRequest]:
        self._requests = [
            request for request in self._requests if request.state is not MoveState.ENDED
        ]
        return self._requests
