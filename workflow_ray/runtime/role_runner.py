"""Running the roles of this process, each as a task."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from workflow_ray.engine.interrupts import is_cancellation, is_interrupt
from workflow_ray.errors import RoleLost, StoreError, WorkflowError
from workflow_ray.ports import Clock, Store, persist
from workflow_ray.records import Fence, Role, RoleName
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.runtime.crash_log import CrashLog, longest_pause
from workflow_ray.runtime.hosting import FOR_ALL, AnyWorkflow
from workflow_ray.runtime.process_status import RolePhase, RoleStatus
from workflow_ray.runtime.role_processes import run_role

log = logging.getLogger(__name__)

STOPPING = 10.0
"""Seconds that roles get to finish their work in hand. The next holder runs those steps again that
are still running then.
"""
COMMITTING = 1.0
"""Seconds that roles get after that if they run no step: they commit results and release."""
RELEASING = 5.0
"""Seconds for which a release is tried again. A role that isn't released is in doubt for the next
holder.
"""
FIRST_RESTART = 0.1
"""Seconds before a role that crashed is started again; doubles up to LONGEST_PAUSE."""

RoleWork: TypeAlias = Callable[[Store, asyncio.Event], Coroutine[Any, Any, None]]
"""Runs a role on the store given, until the event is set."""
RunApart: TypeAlias = Callable[[RoleWork, asyncio.Event], Awaitable[None]]
"""Runs a role in another event loop, on the store as that loop calls it. Raises what the role
raises, and LoopLost.
"""


class LoopLost(Exception):
    """The event loop that a role was to run in has ended, or does not answer."""


@dataclass(eq=False)
class _Held:
    """A role that this process holds."""

    role: Role
    fence: Fence
    since: datetime
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ending: bool = False  # it has ended, and is being released
    waiting: bool = False  # it has crashed, and waits for its next start
    failures: int = 0
    why: str = ""  # the last failure
    failed_at: datetime | None = None

    @property
    def phase(self) -> RolePhase:
        if self.stop.is_set():
            return RolePhase.DRAINING
        return RolePhase.WAITING if self.waiting else RolePhase.RUNNING


class RoleRunner:
    """Runs each role, and restarts it if it crashes, until it is finished or abandoned. Then it
    releases the role. `close` ends all roles.

    Args:
        workflows: Their steps are run.
        store: What the roles work on.
        clock: Measures the waits.
        run_apart: Runs the roles that run user code. None: they run in this event loop.
        store_gone: Called when a role finds that the store is gone, or another one.
        events: The URL for events, where a connector's source that names no server is.
        records: The URL for records, where transactional steps write.
    """

    def __init__(
        self,
        workflows: Sequence[AnyWorkflow],
        store: Store,
        clock: Clock,
        run_apart: RunApart | None = None,
        store_gone: Callable[[StoreError], None] = lambda _: None,
        events: str = "",
        records: str = "",
    ) -> None:
        self._workflows = workflows
        self._store = store
        self._clock = clock
        self._run_apart = run_apart
        self._crashes = CrashLog(store_gone)
        self._events = events
        self._records = records
        self._observation = Observation()
        self._in_flight = InFlight()
        self._held: dict[RoleName, _Held] = {}
        # including those of abandoned roles, until they have ended
        self._tasks: dict[_Held, asyncio.Task[None]] = {}
        self._hurried = asyncio.Event()
        self.releasing = asyncio.Lock()
        """Held while a role is released, and while a heartbeat tells which roles are held, so that
        no heartbeat tells of a role that was released.
        """

    def held(self) -> list[Fence]:
        """Return the fences of the roles that run now, including those that are stopping."""
        return [held.fence for held in self._held.values()]

    def stopping(self) -> set[RoleName]:
        """Return the roles that are stopping."""
        return {name for name, held in self._held.items() if held.stop.is_set()}

    def statuses(self) -> tuple[RoleStatus, ...]:
        """Return the status of each role that is held, by name."""
        return tuple(
            RoleStatus(
                name=name,
                phase=held.phase,
                since=held.since,
                in_flight=self._in_flight.of(name),
                abandoned=self._in_flight.abandoned(name),
                breaker=self._in_flight.breaker(name),
                removed=self._in_flight.removed(name),
                failures=held.failures,
                why=held.why,
                failed_at=held.failed_at,
            )
            for name, held in sorted(self._held.items())
        )

    def start(self, role: Role, fence: Fence) -> None:
        """Run a role that was just acquired."""
        held = self._held[role.name] = _Held(role, fence, self._clock.now())
        task = self._tasks[held] = asyncio.create_task(self._keep(held), name=role.name)
        task.add_done_callback(lambda _: self._ended(held))

    def finish(self, roles: Iterable[RoleName]) -> None:
        """Have these roles finish their work in hand, and release them."""
        for held in self._named(roles):
            held.stop.set()

    def abandon(self, roles: Iterable[RoleName]) -> None:
        """End these roles at once, because another process holds them, or will."""
        for held in self._named(roles):
            self._forget(held)
            if not held.ending:
                self._tasks[held].cancel()

    def hurry(self) -> None:
        """Have `close` abandon at once the roles that still run."""
        self._hurried.set()

    async def close(self, deadline: float = STOPPING) -> bool:
        """Finish all roles, for up to `deadline` seconds or until `hurry`, and abandon the steps
        that still run.

        Returns:
            Whether all were finished.
        """
        self.finish(list(self._held))
        if self._tasks:
            await self._wait_for_end(deadline)
        left = [name for name in sorted(self._held) if self._in_flight.of(name)]
        self.abandon(left)
        if others := [self._tasks[held] for held in self._held.values()]:
            await asyncio.wait(others, timeout=COMMITTING)
        left += sorted(self._held)
        if left:
            log.warning(
                "these roles did not finish in time, and their steps run again: %s",
                ", ".join(left),
            )
        self.abandon(left)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        return not left

    async def _wait_for_end(self, deadline: float) -> None:
        finished = asyncio.create_task(asyncio.wait(self._tasks.values()))
        hurried = asyncio.create_task(self._hurried.wait())
        try:
            await asyncio.wait(
                {finished, hurried}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            finished.cancel()
            hurried.cancel()

    def _named(self, roles: Iterable[RoleName]) -> list[_Held]:
        return [self._held[role] for role in roles if role in self._held]

    def _ended(self, held: _Held) -> None:
        del self._tasks[held]
        self._forget(held)

    def _forget(self, held: _Held) -> None:
        if self._held.get(held.role.name) is held:
            del self._held[held.role.name]

    async def _keep(self, held: _Held) -> None:
        """Run the role to its end, and release it: the process lives, so nothing is in doubt."""
        try:
            await self._run(held)
        except asyncio.CancelledError:
            await self._release(held)
            raise
        await self._release(held)

    async def _run(self, held: _Held) -> None:
        pause, where = FIRST_RESTART, {"role": held.role.name}
        while not held.stop.is_set():
            try:
                await self._run_once(held)
                return
            except RoleLost as error:
                log.warning("%s", error, extra=where)
                return
            except LoopLost:
                log.warning(
                    "role %s is released: its event loop does not answer",
                    held.role.name,
                    extra=where,
                )
                return
            except BaseException as error:
                if is_from_outside(error):
                    raise
                longest = longest_pause(error)
                held.failures += 1
                held.why = f"{type(error).__name__}: {error}"
                held.failed_at = self._clock.now()
                self._crashes.log(error, held.role.name, pause)
            held.waiting = True
            await self._clock.wait(held.stop, pause)
            held.waiting = False
            pause = min(2 * pause, longest)

    async def _run_once(self, held: _Held) -> None:
        def work(store: Store, stop: asyncio.Event) -> Coroutine[Any, Any, None]:
            return run_role(
                held.role,
                held.fence,
                self._workflows,
                store,
                self._clock,
                stop,
                observation=self._observation,
                in_flight=self._in_flight,
                events=self._events,
                records=self._records,
            )

        if self._run_apart is None or held.role.group in FOR_ALL:
            await work(self._store, held.stop)
        else:
            await self._run_apart(work, held.stop)

    async def _release(self, held: _Held) -> None:
        held.ending = True
        try:
            await persist(
                lambda: self._release_once(held), self._clock, held.role.name, patience=RELEASING
            )
        except WorkflowError as error:
            log.warning(
                "role %s was not released: %s",
                held.role.name,
                error,
                extra={"role": held.role.name},
            )

    async def _release_once(self, held: _Held) -> None:
        async with self.releasing:
            await self._store.release(held.fence)
            self._forget(held)


def is_from_outside(error: BaseException) -> bool:
    """Whether the current task is to end, and the error isn't one of the code that it runs."""
    return is_cancellation(error) or is_interrupt(error) or isinstance(error, GeneratorExit)
