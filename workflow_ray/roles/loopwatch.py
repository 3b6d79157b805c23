"""A watch on an event loop from another thread: whether it answers, and which step it runs."""

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
"""The seconds without an answer after which an event loop counts as blocked."""
LOOK = 0.5
"""The most seconds of silence that count between two checks. If more time has passed, the watching
thread stood still too, and perhaps the whole process.
"""
CHECK = LOOK / 2
"""The seconds between two checks."""
PATIENCE = 60.0
"""The seconds for which user code may block a loop. After that the attempt has failed."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """An async step whose code a loop is executing."""

    step: str
    run_id: RunId
    version: Version
    role: RoleName
    failed_write: Callable[[str], WriteGroup] = field(repr=False, compare=False)
    """Makes the write that counts the attempt as failed, for a reason. Thread-safe.

    It names the role's fence, so it must be stored before the role is released. If the attempt ends
    first, the result is a conflict.
    """

    def __str__(self) -> str:
        return f"step {self.step} of run {self.run_id} at version {self.version} (role {self.role})"


def reason(seconds: float) -> str:
    """The reason of a failed attempt that has blocked its event loop."""
    return (
        f"the step blocked its event loop for {seconds:.0f} s; put blocking calls into a plain"
        " function"
    )


Find: TypeAlias = Callable[[asyncio.Task[Any]], Occupant | None]
"""Finds the step that a task runs. None if it runs no step. Thread-safe."""


class RunningStep:
    """Finds the step whose code a loop is executing. Thread-safe.

    This costs steps nothing: the loop knows its current task, and each role knows the tasks of its
    steps.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)  # weak, because the loop is the key in a weak dict
        self._roles: tuple[Find, ...] = ()

    @contextmanager
    def found_by(self, find: Find) -> Generator[None]:
        """Let a role that runs steps in the loop find them by their tasks, inside of the block."""
        self._roles += (find,)
        try:
            yield
        finally:
            self._roles = tuple(role for role in self._roles if role is not find)

    def read(self) -> Occupant | None:
        """The step whose code the loop is executing. None if there is none."""
        loop = self._loop()
        task = asyncio.current_task(loop) if loop else None
        if task is None:
            return None
        return next((occupant for find in self._roles if (occupant := find(task))), None)


_running_steps: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, RunningStep] = (
    weakref.WeakKeyDictionary()
)


def running_step(loop: asyncio.AbstractEventLoop) -> RunningStep:
    """The RunningStep of a loop. Make the first call in the loop's own thread."""
    return _running_steps.setdefault(loop, RunningStep(loop))


class LoopWatch:
    """Measures from another thread how long a loop has not answered, and logs the step that blocks
    it.

    Make it in the loop's own thread. After that, call it from one other thread.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._loop = loop
        self._monotonic = monotonic
        self._running = running_step(loop)
        self._is_asked = False  # the loop was asked, and has not answered yet
        self._measured_at = 0.0
        self._silence = 0.0  # the seconds since the last answer
        # the step at the last check, and the silence at that time
        self._seen: tuple[Occupant | None, float] = None, 0.0
        self._report_at = BLOCKED

    def check(self) -> float:
        """Return the seconds for which the loop has not answered. 0.0 means that it has answered
        since the last call.

        Call it at least every LOOK seconds. Time in which the caller stood still does not count.
        Silence is logged after BLOCKED seconds, and again whenever it has doubled.

        Raises:
            RuntimeError: The loop is closed.
        """
        if not self._is_asked:
            self._report_end()
            self._is_asked = True
            self._measured_at = self._monotonic()
            self._loop.call_soon_threadsafe(self._answer)
            return 0.0
        self._measure()
        if self._silence >= self._report_at:
            self._report_at *= 2
            self._report()
        return self._silence

    def occupant(self) -> Occupant | None:
        """The step that blocks the loop, if there is one."""
        return self._running.read()

    def _measure(self) -> None:
        """Add to the silence, and note the step.

        A loop that executes the same step at two checks has executed it all the time, because a
        step that yields lets the loop answer.
        """
        now = self._monotonic()
        self._silence += min(now - self._measured_at, LOOK)
        self._measured_at = now
        occupant = self._running.read()
        if occupant != self._seen[0]:
            self._seen = occupant, self._silence

    def _answer(self) -> None:
        self._is_asked = False

    def _report(self) -> None:
        occupant, since = self._seen
        blocked = self._silence - since
        if occupant is None or blocked < self._silence / 2:
            log.warning(
                "the event loop has not answered for %.1f s; no step has blocked it all the time",
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
