"""The store of a test: where a call would wait for time to pass, it raises an error."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from workflow_ray.definition import Workflow
from workflow_ray.errors import NothingLeft
from workflow_ray.records import (
    Fence,
    GroupResult,
    Message,
    MessageQuery,
    Record,
    RunId,
    SetAside,
    SetAsideQuery,
    TimeoutKey,
    Version,
    Write,
    WriteGroup,
    bulk_end_group,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.crashes import Crashes, CrashPoint
from workflow_ray.testing.tested_roles import TestedRoles
from workflow_ray.testing.upcoming import Upcoming, in_words
from workflow_ray_adapters.memory import MemoryStore

T = TypeVar("T")


class TestedStore(MemoryStore):
    """A store that raises NothingLeft where a call of the test would wait for time to pass.

    Calls of roles, such as those of a connector's handler, wait. The engine may crash directly
    before or after a commit of a role.
    """

    __test__ = False  # for pytest: it is not a test

    def __init__(
        self, clock: FakeClock, roles: TestedRoles, workflows: Mapping[str, Workflow[Any, Any]]
    ) -> None:
        super().__init__(clock)
        self._roles = roles
        self._workflows = workflows
        self.upcoming = Upcoming(self, workflows)
        self.crashes = Crashes()

    # --- commits --------------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        commit = super().store
        if all(group == WriteGroup(fence=group.fence) for group in groups):
            return await commit(groups)  # it only checks the fence
        return await self._committed(lambda: commit(groups), lambda: self._described(groups))

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        publish, moved = super().move, 0
        deadline = self._clock.monotonic() + wait
        while True:  # one transaction at a time, because each is a commit
            left = max(0.0, deadline - self._clock.monotonic())
            if await self.pending(fence, limit=1, wait=left):
                moved += await self._committed(
                    lambda: publish(fence, limit=limit, wait=0), lambda: f"{fence.role}: events"
                )
            if self._clock.monotonic() >= deadline:
                return moved

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        commit = super().complete
        names = ", ".join(key.name for key in keys)
        await self._committed(lambda: commit(keys), lambda: f"timeouts are completed: {names}")

    async def _committed(self, commit: Callable[[], Awaitable[T]], what: Callable[[], str]) -> T:
        """Commit, and crash before or after it where the test wants that."""
        if not self._roles.is_in_role():
            return await commit()
        self._roles.check_alive()
        crashes = self.crashes
        crashes.commits += 1
        number = crashes.commits
        if crashes.is_due(before := CrashPoint(number, "before")):
            crashes.note(before, what())
            self._roles.crash()
        answer = await commit()
        if crashes.is_due(after := CrashPoint(number, "after")):
            crashes.note(after, what())
            self._roles.crash()
        return answer

    def _described(self, groups: Sequence[WriteGroup]) -> str:
        """Say who commits what, for the report of a test."""
        role = next((group.fence.role for group in groups if group.fence is not None), "a client")
        parts = [self._version(write) for group in groups for write in group.writes]
        parts += [f"a message for {each.name}" for group in groups for each in group.messages]
        parts += [f"the result of once {each.name!r}" for group in groups for each in group.results]
        parts += ["a failed message" for group in groups for _ in group.failures]
        parts += ["an event set aside" for group in groups for _ in group.set_aside]
        parts += [f"a removal of {each.workflow}" for group in groups for each in group.removals]
        return f"{role}: {', '.join(parts) or 'positions'}"

    def _version(self, write: Write) -> str:
        run = write.new or self.stored(write.run_id)
        status = self._workflows[run.workflow].status_of(write.status).name
        return f"version {write.version} of {run.workflow} {run.foreign_id!r} at {status}"

    # --- waits ----------------------------------------------------------------------------------

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        look = super().watch

        async def changed(seconds: float) -> list[Record]:
            return await look(seen, wait=seconds, at_rest=at_rest)

        return await self._until(changed, wait, lambda: [self._position(each) for each in seen])

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        look = super().messages
        if not wait:
            return await look(query, settled=settled)

        async def answered(seconds: float) -> list[Message]:
            return await look(query, settled=settled, wait=seconds)

        posted = await look(query)
        return await self._until(answered, wait, lambda: [self._callback(each) for each in posted])

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        look = super().set_aside
        if not (wait and self._is_of_bulk_job(query.group)):
            return await look(query, wait=wait)

        async def ended(seconds: float) -> list[SetAside]:
            return await look(query, wait=seconds)

        return await self._until(ended, wait, lambda: [f"the end of bulk job {query.group}"])

    def _is_of_bulk_job(self, group: str) -> bool:
        """Whether the group is that of a job's end. Roles wait for the entries of other groups."""
        return any(group.startswith(bulk_end_group(name, "")) for name in self._workflows)

    async def _until(
        self,
        look: Callable[[float], Awaitable[list[T]]],
        wait: float,
        wanted: Callable[[], list[str]],
    ) -> list[T]:
        """Return the first answer that is not empty. Raises NothingLeft: only time brings one."""
        if self._roles.is_in_role():
            with self._roles.held_up():
                return await look(wait)
        await self._roles.settle()
        while not (found := await look(0)):
            if not await self._roles.wait_for_work():
                raise NothingLeft(" and ".join(wanted()), self.due_in_words())
            await self._roles.settle()
        return found

    def due_in_words(self) -> list[str]:
        """List what is due later, the next one first, as text."""
        now = self._clock.now()
        return [in_words(due, now) for due in self.upcoming.listed(now)]

    def _position(self, run_id: RunId) -> str:
        record = self.stored(run_id)
        status = self._workflows[record.workflow].status_of(record.status).name
        return f"{record.workflow} {record.foreign_id!r} at {status}, {record.run_state.name}"

    def _callback(self, message: Message) -> str:
        return f"the answer of callback {message.name} of {self._position(message.run_id)}"
