"""Runs roles in a test, and waits until they wait for time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import timedelta
from typing import Any, NoReturn, Protocol, runtime_checkable

from workflow_ray.coding import wait_for_codecs
from workflow_ray.records import Role
from workflow_ray.runtime.role_processes import RoleProcess
from workflow_ray.testing.clock import FakeClock

_ROLE: ContextVar[RoleProcess | None] = ContextVar("role", default=None)
"""The role that runs the current task; None: the test does."""
AFTER_CRASHES = timedelta(seconds=6)
"""The time that passes when the engine starts again after its second crash and later ones. A new
holder of a role waits so long for the end of what an earlier one was recovering.
"""


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


@runtime_checkable
class Collecting(Protocol):
    """A role whose work in hand may wait for more, so that it is done together."""

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        ...

    def hurry(self) -> None:
        """Do what is in hand without waiting for more."""
        ...


class TestedRoles:
    """Runs the roles as tasks of this event loop. Together they are the engine, which may crash.

    Args:
        clock: The test's.
        start_all: Acquires all roles and starts them, by `start`.
    """

    __test__ = False  # for pytest: it is not a test

    def __init__(self, clock: FakeClock, start_all: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._start_all = start_all
        self._live = set[RoleProcess]()  # the roles that have not crashed
        self._crashes = 0
        self._restarting: asyncio.Task[None] | None = None  # until the test has waited for it
        self._context: Context | None = None  # of the test
        self._stop = asyncio.Event()
        self._working: list[Working] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._held_up = Counter[int]()  # roles whose user code waits for the store, by their id
        self._stuck = asyncio.Event()  # set while there are such roles

    def start(self, role: Role, process: RoleProcess) -> None:
        self._live.add(process)
        if isinstance(process, Working):
            self._working.append(process)
        context = copy_context()
        self._context = self._context or context.copy()
        context.run(_ROLE.set, process)
        self._tasks.append(
            asyncio.create_task(process.run(self._stop), name=role.name, context=context)
        )

    def is_in_role(self) -> bool:
        """Whether a role runs the current task, and not the test."""
        return _ROLE.get() is not None

    def check_alive(self) -> None:
        """End the current task if its role has crashed: it does nothing more."""
        role = _ROLE.get()
        if role is not None and role not in self._live:
            raise asyncio.CancelledError("the engine has crashed")

    def crash(self) -> NoReturn:
        """End all roles at once, as SIGKILL does: nothing more reaches the store, and nothing is
        released. Then they start again.
        """
        self._crashes += 1
        self._live.clear()
        self._stop.clear()  # so that roles that are about to stop do not finish their work
        for task in self._tasks:
            task.cancel()
        self._restarting = asyncio.create_task(self._restart(), context=self._context)
        raise asyncio.CancelledError("the engine has crashed")

    async def _restart(self) -> None:
        """Start the roles again. Each new holder takes over from one that did not release."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._working.clear()
        self._tasks.clear()
        self._stop = asyncio.Event()
        await self._start_all()
        if self._crashes > 1:
            await self._clock.advance(AFTER_CRASHES)

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
        while (restarting := self._restarting) is not None:
            await restarting
            if self._restarting is restarting:
                self._restarting = None
            while await self._settle_once():
                pass
        for task in self._tasks:
            if task.done():
                await task

    async def _settle_once(self) -> bool:
        """Whether a result was committed, perhaps in the last turn: then more may run."""
        results = [role.progress() for role in self._working]
        await self._clock.settle()
        # a codec that works in a thread takes real time
        return await wait_for_codecs() or any(result.is_set() for result in results)

    async def wait_for_work(self) -> bool:
        """Wait until some of the user code that runs has ended. Returns False if none runs.

        A batch begins now that nothing can join it: it would wait for time to pass.
        """
        for role in self._working:
            if isinstance(role, Collecting) and not role.idle:
                role.hurry()
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
        await self._finish()
        while self._restarting is not None:
            await self.settle()
            while await self.wait_for_work():
                await self.settle()
            await self._finish()

    async def _finish(self) -> None:
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
        for task in self._tasks if self._restarting is None else ():
            await task

    async def abandon(self) -> None:
        """Cancel the roles, whatever they are doing."""
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait({self._restarting})
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
