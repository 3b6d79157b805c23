"""Runs roles in a test, and waits until they wait for time."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Protocol, runtime_checkable

from workflow_ray.records import Role
from workflow_ray.runtime.hosting import RoleProcess
from workflow_ray.testing.clock import FakeClock

_ROLE: ContextVar[RoleProcess | None] = ContextVar("role", default=None)
"""The role that runs the current task; None: the test does."""


@runtime_checkable
class Working(Protocol):
    """A role that runs user code, which may take real time."""

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        ...

    def progress(self) -> asyncio.Event:
        """Return what is set when the next work in hand is committed, counted from this call."""
        ...


class TestedRoles:
    """Runs the roles as tasks of this event loop."""

    __test__ = False  # for pytest: it is not a test

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._stop = asyncio.Event()
        self._working: list[Working] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._held_up = Counter[int]()  # roles whose user code waits for the store, by their id
        self._stuck = asyncio.Event()  # set while there are such roles

    def start(self, role: Role, process: RoleProcess) -> None:
        if isinstance(process, Working):
            self._working.append(process)
        context = copy_context()
        context.run(_ROLE.set, process)
        self._tasks.append(
            asyncio.create_task(process.run(self._stop), name=role.name, context=context)
        )

    def is_in_role(self) -> bool:
        """Whether a role runs the current task, and not the test."""
        return _ROLE.get() is not None

    @contextmanager
    def held_up(self) -> Generator[None]:
        """Mark the current role as waiting for the store, so that nobody waits for its work."""
        role = id(_ROLE.get())
        self._held_up[role] += 1
        self._stuck.set()
        try:
            yield
        finally:
            self._held_up[role] -= 1
            if not self._held_up.total():
                self._stuck.clear()

    async def settle(self) -> None:
        """Run everything until it waits for time, or for user code that takes real time.

        Raises the error of a role that has crashed.
        """
        while await self._settle_once():
            pass
        for task in self._tasks:
            if task.done():
                await task

    async def _settle_once(self) -> bool:
        """Whether a result was committed, perhaps in the last turn: then more may run."""
        results = [role.progress() for role in self._working]
        await self._clock.settle()
        return any(result.is_set() for result in results)

    async def wait_for_work(self) -> bool:
        """Wait until some of the user code that runs has ended. Returns False if none runs."""
        busy = [
            role.progress().wait()
            for role in self._working
            if not role.idle and not self._held_up[id(role)]
        ]
        if busy:
            await _first(busy, self._tasks)
        return bool(busy)

    async def finish(self) -> None:
        """Let the roles finish their work and end. Raises the error of a role that has crashed.

        Roles whose user code waits for the store are cancelled, because it may wait for time.
        """
        self._stop.set()
        ended = asyncio.create_task(asyncio.wait(self._tasks))
        while not ended.done():
            stuck = asyncio.create_task(self._stuck.wait())
            await asyncio.wait({ended, stuck}, return_when=asyncio.FIRST_COMPLETED)
            stuck.cancel()
            await self._clock.settle()
            if not ended.done() and self._held_up.total():
                await self.abandon()
                return
        for task in self._tasks:
            await task

    async def abandon(self) -> None:
        """Cancel the roles, whatever they are doing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _first(
    calls: Sequence[Coroutine[Any, Any, bool]], others: Iterable[asyncio.Task[None]]
) -> None:
    """Wait until one of the calls or of the other tasks is done, then cancel the other calls."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.wait({*tasks, *others}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
