"""A store that fails when a test asks it to."""

from collections.abc import Callable, Sequence

from workflow_ray.errors import StoreReadOnly, StoreUnavailable, WriteRejected
from workflow_ray.ports import Clock
from workflow_ray.records import (
    GroupResult,
    Position,
    Write,
    WriteGroup,
)
from workflow_ray_adapters.memory import MemoryStore


class FaultyStore(MemoryStore):
    """ports.Store as the memory adapter has it, but for what a test breaks."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.groups: list[WriteGroup] = []  # as they were sent, repeats too
        self.lose_answers = 0  # so many of the next ones to roles
        self.lose_answers_to_clients = 0
        self.read_only = False  # as a server during a failover
        self.away = False  # so that groups can't be stored, nor positions read
        self.rejected: Callable[[Write], bool] = lambda write: False

    async def positions(self, group: str) -> list[Position]:
        if self.away:
            raise StoreUnavailable("the store", "nobody answers")
        return await super().positions(group)

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if self.away:
            raise StoreUnavailable("the store", "nobody answers")
        if self.read_only:
            raise StoreReadOnly("the store", "it fails over")
        if any(self.rejected(write) for group in groups for write in group.writes):
            raise WriteRejected("it doesn't fit")
        answers = await super().store(groups)
        self.groups += groups
        self._lose(to_role=any(group.fence for group in groups))
        return answers

    def _lose(self, *, to_role: bool) -> None:
        if to_role and self.lose_answers:
            self.lose_answers -= 1
        elif not to_role and self.lose_answers_to_clients:
            self.lose_answers_to_clients -= 1
        else:
            return
        raise StoreUnavailable("the store", "the connection broke after the commit")
