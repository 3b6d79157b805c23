"""Processes that run roles in a test. They die at any await, and they are stopped and continued."""

import asyncio
import inspect
import random
from collections.abc import Sequence
from contextvars import ContextVar, copy_context
from datetime import timedelta
from typing import Any

from workflow_ray import Workflow
from workflow_ray.errors import RoleLost
from workflow_ray.ports import Store
from workflow_ray.records import SWEEPER, Committed, Fence, GroupResult, Role, WriteGroup
from workflow_ray.roles.observation import Observation
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.role_processes import run_role
from workflow_ray.testing import FakeClock

Workflows = Sequence[Workflow[Any, Any]]


class Process:
    """A process with one role."""

    task: asyncio.Task[None]

    def __init__(self, role: Role, code: int) -> None:
        self.role = role
        self.code = code  # the index of its code
        self.stop = asyncio.Event()
        self.is_dead = False
        self.running = asyncio.Event()  # not set: the process is stopped, as by SIGSTOP
        self.running.set()

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing more reaches the store, and nothing is released."""
        self.is_dead = True
        self.running.set()
        self.task.cancel()
        await asyncio.wait({self.task})

    async def pass_through(self, turns: int) -> None:
        """Let others run for some turns, and wait while the process is stopped."""
        for _ in range(turns):
            await asyncio.sleep(0)
        await self.running.wait()
        if self.is_dead:
            raise asyncio.CancelledError


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process that runs the current task; None: the test does."""


class Processes:
    """Runs every role but the sweeper's in a process of its own, so that nothing is repaired that
    should not have broken.

    Args:
        codes: The workflows, as each version of the code has them, the oldest first.
        store: Its methods are replaced by ones that wait for some turns before and after.
        clock: The store's.
        rng: Chooses the number of turns, and which of the codes that were deployed a process has.
    """

    def __init__(
        self, codes: Sequence[Workflows], store: Store, clock: FakeClock, rng: random.Random
    ) -> None:
        self._codes = codes
        self.newest = 0  # the index of the newest code that was deployed
        self._store = store
        self._clock = clock
        self._rng = rng
        self._choice_of_code = random.Random(rng.random())  # the order of tasks draws from `rng`
        self._observation = Observation()
        self._epochs: dict[str, int] = {}  # the newest of each role
        self.roles: list[Role] = []
        self._holders: dict[Role, Process] = {}
        self._former: list[Process] = []  # those that have lost their role, or will notice it
        self.faults: list[str] = []
        for name, method in inspect.getmembers(store, inspect.iscoroutinefunction):
            if not name.startswith("_"):
                setattr(store, name, self._interrupted(method))

    async def begin(self) -> None:
        """Deploy the oldest code and start all roles."""
        described = [describe_here(workflow) for workflow in self._codes[0]]
        await merge(self._store, described)
        self.roles = [role for role in roles_of(described) if role.group != SWEEPER]
        for role in self.roles:
            await self.take_over(role)

    async def deploy_next(self) -> bool:
        """Deploy newer code. Roles have it only when they are taken over. False: there is none."""
        if self.newest + 1 == len(self._codes):
            return False
        workflows = self._codes[self.newest + 1]
        described = [describe_here(workflow) for workflow in workflows]
        await merge(self._store, described, definitions=workflows)
        self.newest += 1
        return True

    async def upgrade(self) -> None:
        """Start holders with the newest code for all roles whose holder has older code."""
        for role, holder in list(self._holders.items()):
            if holder.code != self.newest:
                await self.take_over(role, code=self.newest)

    def any_code(self) -> int:
        """Choose one of the codes that were deployed: a worker with older code may start too."""
        return self._choice_of_code.randint(0, self.newest)

    async def take_over(
        self, role: Role, *, stopped: bool = False, code: int | None = None
    ) -> None:
        """Start another holder. The earlier one goes on until it notices.

        stopped: The earlier one is stopped first, and goes on later.
        code: The index of the code that the other one has. None: any that was deployed.
        """
        if (earlier := self._holders.pop(role, None)) is not None:
            self._former.append(earlier)
            if stopped:
                earlier.running.clear()
        fence = await self._store.acquire(role)
        self._epochs[fence.role] = fence.epoch
        process = Process(role, self.any_code() if code is None else code)
        context = copy_context()
        context.run(_PROCESS.set, process)
        process.task = asyncio.create_task(
            self._work(process, fence), name=role.name, context=context
        )
        self._holders[role] = process

    async def crash(self, role: Role) -> None:
        """Kill the holder. Nobody has the role then, until `take_over`."""
        if (holder := self._holders.pop(role, None)) is not None:
            await holder.kill()

    async def leave(self, role: Role) -> None:
        """Let the holder finish its work in hand and release the role."""
        if (holder := self._holders.pop(role, None)) is not None:
            holder.stop.set()
            self._former.append(holder)

    def go_on(self) -> None:
        """Continue all processes that are stopped."""
        for process in self._former:
            process.running.set()

    async def recover(self) -> None:
        """Continue what is stopped, and start what has died."""
        self.go_on()
        for role in self.roles:
            if role not in self._holders:
                await self.take_over(role)

    def check(self) -> None:
        """Check that nobody ended of anything else than the loss of its role."""
        for process in [*self._former, *self._holders.values()]:
            if process.task.done() and (error := process.task.exception()) is not None:
                if process in self._former and isinstance(error, RoleLost):
                    continue
                raise error
        assert not self.faults, self.faults

    async def end(self) -> None:
        """Kill all processes."""
        for process in [*self._former, *self._holders.values()]:
            await process.kill()

    async def pass_time(self, seconds: float) -> None:
        await self._clock.advance(timedelta(seconds=seconds))
        await self._clock.settle()

    async def _work(self, process: Process, fence: Fence) -> None:
        await run_role(
            process.role,
            fence,
            self._codes[process.code],
            self._store,
            self._clock,
            process.stop,
            observation=self._observation,
        )
        await self._store.release(fence)

    def _interrupted(self, method: Any) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            process = _PROCESS.get()
            if process is None:
                return await method(*args, **kwargs)
            await process.pass_through(self._turns())
            known = dict(self._epochs)
            answer = await method(*args, **kwargs)
            if method.__name__ == "store":
                self._check_fences(args[0], answer, known)
            await process.pass_through(self._turns())
            return answer

        return call

    def _turns(self) -> int:
        return self._rng.choice([0, 0, 1, 2, 5])

    def _check_fences(
        self, groups: Sequence[WriteGroup], answers: Sequence[GroupResult], known: dict[str, int]
    ) -> None:
        self.faults += [
            f"a write of {group.fence} was committed in epoch {known[group.fence.role]}"
            for group, answer in zip(groups, answers, strict=True)
            if group.fence is not None
            and isinstance(answer, Committed)
            and group.fence.epoch < known.get(group.fence.role, 0)
        ]
