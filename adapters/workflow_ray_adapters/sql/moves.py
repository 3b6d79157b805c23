"""Calls of `move`: each publishes what is due, and goes on with what gets due until its wait is
over.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from workflow_ray.ports import Clock
from workflow_ray.records import Fence, RoleName
from workflow_ray_adapters.sql.requests import copied
from workflow_ray_adapters.sql.transaction import Move


@dataclass(eq=False)
class OngoingMove:
    """A call of `move`, between its beginning and its answer."""

    what: Move
    lasts: bool  # after a transaction it waits for the next one
    is_due: bool  # the next transaction makes it, whatever else that does
    is_running: bool = False  # a transaction that makes it runs
    moved: int = 0
    error: Exception | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """A transaction is about to make it."""
        self.is_due = False
        self.is_running = True

    def pause(self) -> None:
        """The transaction has left it out, after all."""
        self.is_running = False
        self.end_if_over()

    def succeed(self, moved: int) -> None:
        """A transaction has moved that many entries."""
        self.moved += moved
        self.pause()

    def fail(self, error: Exception) -> None:
        self.is_running = False
        if not self.ended.is_set():
            self.error = copied(error)
            self.ended.set()

    def end_if_over(self) -> None:
        if not (self.lasts or self.is_running):
            self.ended.set()


class Moves:
    """The ongoing ones of one writer."""

    def __init__(self, clock: Clock) -> None:
        self.woken = asyncio.Event()  # some are due, or may be
        self._clock = clock
        self._ongoing: list[OngoingMove] = []
        # nothing of the outbox is due, as far as is known: a move that waits has but to wait
        self._is_drained = False

    async def run(self, what: Move, wait: float) -> int:
        """How many entries were moved when the wait is over."""
        move = OngoingMove(what, lasts=wait > 0, is_due=wait <= 0 or not self._is_drained)
        self._ongoing.append(move)
        if move.is_due:
            self.woken.set()
        try:
            await self._clock.wait(move.ended, wait)
            move.lasts = False
            if not move.is_due:
                move.end_if_over()
            await move.ended.wait()
        finally:  # of a call that is given up too
            move.lasts = False
            move.end_if_over()
        if move.error:
            raise move.error
        return move.moved

    def fences(self) -> set[Fence]:
        """Those that somebody moves under."""
        return {move.what.fence for move in self._open()}

    def due(self) -> list[OngoingMove]:
        """Those that the next transaction makes in any case."""
        return [move for move in self._open() if move.is_due]

    def waiting(self) -> list[OngoingMove]:
        """The others: a transaction that adds an entry makes them too."""
        return [move for move in self._open() if not (move.is_due or move.is_running)]

    def wake(self) -> bool:
        """Something may have become due. Whether there is a move for it."""
        return self._wake(self._open())

    def wake_those_of(self, roles: Collection[RoleName]) -> bool:
        """These roles have a new epoch. Whether there is a move of one of them."""
        return bool(roles) and self._wake(
            [move for move in self._open() if move.what.fence.role in roles]
        )

    def forget(self) -> None:
        """Something may have become due: who begins to move finds out. Those who wait are not
        woken.
        """
        self._is_drained = False

    def note(self, *, is_drained: bool) -> None:
        """What is known after a transaction that has moved."""
        self._is_drained = is_drained

    def pause(self) -> None:
        """No transaction runs any more."""
        for move in self._open():
            move.pause()

    def close(self) -> None:
        """Let them end as soon as no transaction makes them."""
        for move in self._open():
            move.lasts = False
            if not move.is_due:
                move.end_if_over()

    def fail(self, error: Exception) -> None:
        """Nobody makes them any more."""
        for move in self._open():
            move.fail(error)

    def _wake(self, moves: list[OngoingMove]) -> bool:
        self._is_drained = False
        for move in moves:
            move.is_due = True
        if moves:
            self.woken.set()
        return bool(moves)

    def _open(self) -> list[OngoingMove]:
        self._ongoing = [move for move in self._ongoing if not move.ended.is_set()]
        return self._ongoing
