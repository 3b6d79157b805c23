"""The threads that run plain functions. They are daemons, so that a function that hangs does not
keep the process from ending.
"""

import asyncio
import contextvars
import inspect
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from workflow_ray.definition import Workflow
from workflow_ray.records import RoleName

log = logging.getLogger(__name__)

MAX_THREADS = 64
MAX_ABANDONED = 64
"""The abandoned calls of a step with a time limit that may hang and are replaced by new threads."""
NAMED = 10
"""The runs of abandoned calls that a warning names."""
IDLE = 60.0
"""The seconds after which an idle thread ends."""


Answer: TypeAlias = tuple[object, BaseException | None]
"""What a function has returned, and what it has raised. A future does not accept every exception as
its own.
"""


@dataclass(eq=False, slots=True)
class _Call:
    function: Callable[[], object]
    answer: asyncio.Future[Answer]
    run_id: str
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    begun: bool = False
    ended: bool = False


class Threads:
    """The threads of one role, for one event loop at a time.

    Args:
        name: The name of the threads.
        limit: The most threads.
        spare: The most further threads, one for each abandoned call that still runs.
    """

    def __init__(self, name: str, limit: int, spare: int = 0) -> None:
        self._name = name
        self._limit = limit
        self._spare = spare
        self._changed = threading.Condition()  # guards the attributes below
        self._calls = deque[_Call]()
        self._count = 0
        self._idle = 0
        self._abandoned = dict[_Call, None]()  # the oldest one first

    def call(self, function: Callable[[], object], run_id: str = "") -> asyncio.Future[Answer]:
        """Run the function in a copy of the caller's context, when a thread is free.

        If the future is cancelled, a call that has begun goes on.

        Args:
            function: The function.
            run_id: The run that the call is for, which the log names if the call is abandoned.

        Returns:
            What the function has returned or raised.
        """
        call = _Call(function, asyncio.get_running_loop().create_future(), run_id)
        call.answer.add_done_callback(lambda _: self._answered(call))
        with self._changed:
            self._calls.append(call)
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif self._count < self._most():
                self._begin_thread()
        return call.answer

    def abandoned(self) -> int:
        """The number of calls that were abandoned and still run. Thread-safe."""
        return len(self._abandoned)

    def _most(self) -> int:
        return self._limit + min(len(self._abandoned), self._spare)

    def _answered(self, call: _Call) -> None:
        with self._changed:
            if not call.answer.cancelled() or not call.begun or call.ended:
                return
            self._abandoned[call] = None
            if self._calls and not self._idle and self._count < self._most():
                self._begin_thread()  # for the calls that waited for this call's thread
            left = list(self._abandoned)
        text = (
            "%s: a call that was abandoned still runs in its thread; %d of at most %d threads are"
            " taken up by such calls%s. Let the function end by itself, e.g. by a timeout of what"
            " it calls"
        )
        log.warning(text, self._name, len(left), self._limit + self._spare, _runs_of(left))

    def _begin_thread(self) -> None:
        threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._count += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            value, error = _outcome(call)
            try:
                call.loop.call_soon_threadsafe(self._deliver, call, value, error)
            except RuntimeError:  # the loop is closed, so nothing waits for the answer
                log.debug("a step in %s outlived its event loop", self._name)
                self._forget(call)
            del call, value, error  # an idle thread keeps no references to a run

    def _next(self) -> _Call | None:
        """Wait for the next call. None means that the thread should end."""
        with self._changed:
            while True:
                # an abandoned call has ended, so this spare thread is not needed
                if self._count > self._most():
                    self._count -= 1
                    return None
                while self._calls:
                    call = self._calls.popleft()
                    if not call.answer.cancelled():
                        call.begun = True
                        return call
                self._idle += 1
                notified = self._changed.wait(IDLE)
                self._idle -= 1
                if not notified and not self._calls:
                    self._count -= 1
                    return None

    def _deliver(self, call: _Call, value: object, error: BaseException | None) -> None:
        if call.answer.cancelled():
            self._forget(call)
            if inspect.iscoroutine(value):  # it is not awaited, and would cause a warning
                value.close()
        else:
            call.answer.set_result((value, error))

    def _forget(self, call: _Call) -> None:
        """Note that an abandoned call has ended, perhaps before `_answered` is called for it."""
        with self._changed:
            call.ended = True
            self._abandoned.pop(call, None)


def _runs_of(calls: Sequence[_Call]) -> str:
    """Name the runs of the calls that were abandoned last."""
    runs = [call.run_id for call in calls if call.run_id]
    more = f" and {len(runs) - NAMED} others" if len(runs) > NAMED else ""
    return f" (of run {', '.join(runs[-NAMED:])}{more})" if runs else ""


def _outcome(call: _Call) -> Answer:
    """Call the function, in the thread."""
    try:
        return call.context.run(call.function), None
    except BaseException as error:  # also SystemExit, which would end the thread
        return None, error


_threads: weakref.WeakKeyDictionary[Workflow[Any, Any], dict[RoleName, Threads]] = (
    weakref.WeakKeyDictionary()
)


def threads_of(
    workflow: Workflow[Any, Any],
    role: RoleName,
    name: str,
    max_in_flight: int,
    *,
    has_time_limit: bool = False,
) -> Threads:
    """The threads of a role's plain functions in this process.

    A role that starts again gets the same threads, with the calls that hang in them.

    Args:
        workflow: The role's workflow.
        role: The role's name.
        name: The name of the threads.
        max_in_flight: The most calls that the role makes at a time.
        has_time_limit: Whether a call may be abandoned.
    """
    roles = _threads.setdefault(workflow, {})
    spare = MAX_ABANDONED if has_time_limit else 0
    return roles.setdefault(role, Threads(name, min(max_in_flight, MAX_THREADS), spare))
