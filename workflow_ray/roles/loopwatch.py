"""Which step an event loop is running right now, for whoever finds, from another thread, that the
loop does not answer.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from workflow_ray.records import RoleName, RunId, Version, WriteGroup

T = TypeVar("T")
log = logging.getLogger(__name__)

BLOCKED = 1.0
"""Seconds without an answer after which an event loop counts as blocked."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """An async step that a loop runs."""

    step: str
    run_id: RunId
    version: Version
    role: RoleName
    blame: Callable[[str], WriteGroup] = field(repr=False)
    """What counts the attempt as failed for the reason given. It names the role's fence, so it must
    be stored before the role is released; if the attempt ends first, the store answers a conflict.
    May be called by another thread.
    """

    def __str__(self) -> str:
        return f"step {self.step} of run {self.run_id} at version {self.version} (role {self.role})"


def reason(seconds: float) -> str:
    """Why the attempt of a step that blocks its loop is counted as failed."""
    return f"the step blocked its event loop for {seconds:.0f} s; put blocking calls into a plain function"


class RunningStep:
    """A loop's cell: who occupies it now, and since when. Written by the loop's thread, read by
    any.
    """

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now: tuple[Callable[[], Occupant], float] | None = None

    def enter(self, occupant: Callable[[], Occupant]) -> None:
        """occupant: Called only by whoever reads the cell."""
        self._now = occupant, time.monotonic()

    def leave(self) -> None:
        self._now = None

    def read(self) -> tuple[Occupant, float] | None:
        """The step whose code the loop is executing, and for how many seconds; None: it executes no
        step's.
        """
        if (now := self._now) is None:
            return None
        occupant, since = now
        return occupant(), time.monotonic() - since


_cells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, RunningStep] = weakref.WeakKeyDictionary()


def running_step(loop: asyncio.AbstractEventLoop) -> RunningStep:
    """The loop's cell. To be asked for the first time in the loop's own thread."""
    return _cells.setdefault(loop, RunningStep())


class Watched(Coroutine[Any, Any, T]):
    """A coroutine that says in a cell, each time it is resumed, that it occupies the loop, until it
    gives it back.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], cell: RunningStep, occupant: Callable[[], Occupant]) -> None:
        self._coroutine = coroutine
        self._cell = cell
        self._occupant = occupant

    def send(self, value: Any) -> Any:
        self._cell.enter(self._occupant)
        try:
            return self._coroutine.send(value)
        finally:
            self._cell.leave()

    def throw(self, *error: Any) -> Any:
        self._cell.enter(self._occupant)
        try:
            return self._coroutine.throw(*error)
        finally:
            self._cell.leave()

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()


class LoopWatch:
    """Tells from another thread how long a loop has not answered, and names the step that blocks it
    in the log.

    Made in the loop's own thread; after that all calls come from one other thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._cell = running_step(loop)
        self._asked_at: float | None = None  # when the question was put that is still unanswered
        self._longest = 0.0  # silence since the last answer
        self._report_at = BLOCKED

    def check(self) -> float:
        """Seconds for which the loop has not answered; 0.0: it has answered since the last call,
        and is asked again.

        Call it every fraction of a second. Silence is logged from BLOCKED seconds on, ever more
        seldom. Raises RuntimeError: the loop is closed.
        """
        if self._asked_at is None:
            self._report_end()
            self._asked_at = time.monotonic()
            self._loop.call_soon_threadsafe(self._answer)
            return 0.0
        self._longest = time.monotonic() - self._asked_at
        if self._longest >= self._report_at:
            self._report_at *= 2
            self._report(self._longest)
        return self._longest

    def occupant(self) -> Occupant | None:
        """The step that blocks the loop, if one does."""
        found = self._cell.read()
        return found[0] if found else None

    def _answer(self) -> None:
        self._asked_at = None

    def _report(self, silence: float) -> None:
        found = self._cell.read()
        if found is None:
            log.warning("the event loop has not answered for %.1f s; none of its steps is running", silence)
            return
        occupant, seconds = found
        where = {"run_id": occupant.run_id, "version": occupant.version, "role": occupant.role}
        text = "the event loop has not answered for %.1f s: %s has blocked it for %.1f s. Blocking calls belong in a plain function"
        log.warning(text, silence, occupant, seconds, extra=where)

    def _report_end(self) -> None:
        if self._report_at > BLOCKED:
            log.warning("the event loop answers again, after %.1f s", self._longest)
        self._report_at = BLOCKED
        self._longest = 0.0
