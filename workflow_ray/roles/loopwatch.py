"""Which step an event loop is running right now, for whoever finds, from another thread, that the
loop does not answer.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from workflow_ray.records import RoleName, RunId, Version, WriteGroup

log = logging.getLogger(__name__)

BLOCKED = 1.0
"""Seconds without an answer after which an event loop counts as blocked."""
LOOK = 0.5
"""Seconds that a loop counts as silent at most between two looks: who looks more seldom stood still
itself, and so perhaps did the whole process.
"""
CHECK = LOOK / 2
"""Seconds between two looks."""
PATIENCE = 60.0
"""Seconds for which user code may block a loop. Then its step has failed an attempt."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """An async step that a loop runs."""

    step: str
    run_id: RunId
    version: Version
    role: RoleName
    blame: Callable[[str], WriteGroup] = field(repr=False, compare=False)
    """What counts the attempt as failed for the reason given. It names the role's fence, so it must
    be stored before the role is released; if the attempt ends first, the store answers a conflict.
    May be called by another thread.
    """

    def __str__(self) -> str:
        return f"step {self.step} of run {self.run_id} at version {self.version} (role {self.role})"


def reason(seconds: float) -> str:
    """Why the attempt of a step that blocks its loop is counted as failed."""
    return (
        f"the step blocked its event loop for {seconds:.0f} s; put blocking calls into a plain"
        " function"
    )


Find: TypeAlias = Callable[[asyncio.Task[Any]], Occupant | None]
"""The step that a task runs; None: it runs none. Called by any thread."""


class RunningStep:
    """Tells, to any thread, which step's code a loop executes. Steps cost nothing by it: the loop
    knows its current task, and each role knows the tasks of its steps.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)  # it is the key by which this is found
        self._roles: tuple[Find, ...] = ()

    @contextmanager
    def found_by(self, find: Find) -> Generator[None]:
        """Meanwhile a role runs steps in the loop, and finds them by their tasks."""
        self._roles += (find,)
        try:
            yield
        finally:
            self._roles = tuple(role for role in self._roles if role is not find)

    def read(self) -> Occupant | None:
        """The step whose code the loop is executing; None: it executes no step's."""
        loop = self._loop()
        task = asyncio.current_task(loop) if loop else None
        if task is None:
            return None
        return next((occupant for find in self._roles if (occupant := find(task))), None)


_cells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, RunningStep] = (
    weakref.WeakKeyDictionary()
)


def running_step(loop: asyncio.AbstractEventLoop) -> RunningStep:
    """The loop's own. To be asked for the first time in the loop's own thread."""
    return _cells.setdefault(loop, RunningStep(loop))


class LoopWatch:
    """Tells from another thread how long a loop has not answered, and names the step that blocks it
    in the log.

    Made in the loop's own thread; after that all calls come from one other thread.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._loop = loop
        self._monotonic = monotonic
        self._cell = running_step(loop)
        self._is_asked = False  # and has not answered yet
        self._looked_at = 0.0
        self._silence = 0.0  # since the last answer
        # who blocked it at the last look, and the silence by then
        self._seen: tuple[Occupant | None, float] = None, 0.0
        self._report_at = BLOCKED

    def check(self) -> float:
        """Seconds for which the loop has not answered; 0.0: it has answered since the last call,
        and is asked again. Time in which the caller stood still too does not count.

        Call it at least every LOOK seconds. Silence is logged from BLOCKED seconds on, ever more
        seldom. Raises RuntimeError: the loop is closed.
        """
        if not self._is_asked:
            self._report_end()
            self._is_asked = True
            self._looked_at = self._monotonic()
            self._loop.call_soon_threadsafe(self._answer)
            return 0.0
        self._look()
        if self._silence >= self._report_at:
            self._report_at *= 2
            self._report()
        return self._silence

    def occupant(self) -> Occupant | None:
        """The step that blocks the loop, if one does."""
        return self._cell.read()

    def _look(self) -> None:
        """One that executes a step at two looks without having answered has executed it since: what
        gives the loop back lets it answer.
        """
        now = self._monotonic()
        self._silence += min(now - self._looked_at, LOOK)
        self._looked_at = now
        occupant = self._cell.read()
        if occupant != self._seen[0]:
            self._seen = occupant, self._silence

    def _answer(self) -> None:
        self._is_asked = False

    def _report(self) -> None:
        occupant, since = self._seen
        blocked = self._silence - since
        if occupant is None or blocked < self._silence / 2:
            log.warning(
                "the event loop has not answered for %.1f s; no step has blocked it for all that"
                " time",
                self._silence,
            )
            return
        where = {"run_id": occupant.run_id, "version": occupant.version, "role": occupant.role}
        text = (
            "the event loop has not answered for %.1f s: %s has blocked it for %.1f s. Blocking"
            " calls belong in a plain function"
        )
        log.warning(text, self._silence, occupant, blocked, extra=where)

    def _report_end(self) -> None:
        if self._report_at > BLOCKED:
            log.warning("the event loop answers again, after %.1f s", self._silence)
        self._report_at = BLOCKED
        self._silence = 0.0
        self._seen = None, 0.0
