"""The threads that plain steps run in: daemons, so that one which hangs keeps no process from
ending.
"""

import asyncio
import contextvars
import inspect
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from workflow_ray.definition import Step, Workflow
from workflow_ray.records import RoleName

log = logging.getLogger(__name__)

MAX_THREADS = 64
MAX_ABANDONED = 64
"""Calls of a step with a time limit that may hang without taking threads away from the others."""
IDLE = 60.0
"""Seconds after which a thread without work ends."""


Answer: TypeAlias = tuple[object, BaseException | None]
"""What a function returned, and what it raised: not as the future's own exception, which can't be
just any.
"""


@dataclass(eq=False, slots=True)
class _Call:
    function: Callable[[], object]
    answer: asyncio.Future[Answer]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    begun: bool = False


class Threads:
    """At most `limit` of them, and up to `spare` more while so many calls still run that were
    abandoned. For one event loop at a time.
    """

    def __init__(self, name: str, limit: int, spare: int = 0) -> None:
        self._name = name
        self._limit = limit
        self._spare = spare
        self._changed = threading.Condition()  # guards what follows
        self._calls = deque[_Call]()
        self._count = 0
        self._idle = 0
        self._abandoned = 0

    def call(self, function: Callable[[], object]) -> asyncio.Future[Answer]:
        """Run the function in a copy of the caller's context, once a thread is free, and answer
        what it returned or raised.

        Cancelled, a call that has begun goes on.
        """
        call = _Call(function, asyncio.get_running_loop().create_future())
        call.answer.add_done_callback(lambda _: self._answered(call))
        with self._changed:
            self._calls.append(call)
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif self._count < self._most():
                self._begin_thread()
        return call.answer

    def _most(self) -> int:
        return self._limit + min(self._abandoned, self._spare)

    def _answered(self, call: _Call) -> None:
        with self._changed:
            if not call.answer.cancelled() or not call.begun:
                return
            self._abandoned += 1
            if self._calls and not self._idle and self._count < self._most():
                self._begin_thread()  # for those that waited for this one's
        text = (
            "%s: a step that was abandoned still runs in its thread; %d of at most %d threads are"
            " taken up by such steps"
        )
        log.warning(text, self._name, self._abandoned, self._limit + self._spare)

    def _begin_thread(self) -> None:
        threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._count += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            value, error = _outcome(call)
            try:
                call.loop.call_soon_threadsafe(self._deliver, call, value, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                log.debug("a step in %s outlived its event loop", self._name)
            del call, value, error  # nothing of a run stays with an idle thread

    def _next(self) -> _Call | None:
        """The next call; None: there was none for a while, and the thread is to end."""
        with self._changed:
            while True:
                # the call that this thread was made for has ended at last
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
            with self._changed:
                self._abandoned -= 1
            if inspect.iscoroutine(value):  # nobody awaits it: closed, it causes no warning
                value.close()
        else:
            call.answer.set_result((value, error))


def _outcome(call: _Call) -> Answer:
    """In the thread."""
    try:
        return call.context.run(call.function), None
    except BaseException as error:  # also SystemExit, which would end the thread in silence
        return None, error


_threads: weakref.WeakKeyDictionary[Workflow[Any, Any], dict[RoleName, Threads]] = (
    weakref.WeakKeyDictionary()
)


def threads_of(workflow: Workflow[Any, Any], role: RoleName, step: Step[Any]) -> Threads:
    """The threads of a role's plain step in this process: a role that starts again finds those of
    before, and what hangs in them.
    """
    roles = _threads.setdefault(workflow, {})
    spare = 0 if step.timeout is None else MAX_ABANDONED
    return roles.setdefault(role, Threads(step.name, min(step.max_in_flight, MAX_THREADS), spare))
