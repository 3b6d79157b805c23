"""The store of a test: where a call would wait for time to pass, it raises an error."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from workflow_ray.definition import Workflow
from workflow_ray.errors import NothingLeft
from workflow_ray.records import Message, MessageQuery, Record, RunId, Version
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.tested_roles import TestedRoles
from workflow_ray.testing.upcoming import Upcoming, in_words
from workflow_ray_adapters.memory import MemoryStore

T = TypeVar("T")


class TestedStore(MemoryStore):
    """A store that raises NothingLeft where a call of the test would wait for time to pass.

    Calls of roles, such as those of a connector's handler, wait.
    """

    __test__ = False  # for pytest: it is not a test

    def __init__(
        self, clock: FakeClock, roles: TestedRoles, workflows: Mapping[str, Workflow[Any, Any]]
    ) -> None:
        super().__init__(clock)
        self._roles = roles
        self._workflows = workflows
        self.upcoming = Upcoming(self, workflows)

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
