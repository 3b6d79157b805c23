"""What the file holds. Each method looks, decides and changes; the store makes transactions of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import asdict, replace

from workflow_ray.errors import DeploymentConflict, PartitionsChanged, RoleLost, RoleRetired, StatusRenumbered
from workflow_ray.ports import assigned
from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Committed,
    Conflict,
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    Fenced,
    GroupResult,
    HistoryEntry,
    KeyUsed,
    NewRun,
    OutboxEntry,
    Record,
    Role,
    RoleName,
    RunId,
    Shared,
    Stored,
    Taken,
    Timeout,
    TimeoutKey,
    Write,
    WriteGroup,
    WriteResult,
)


class Holding(msgspec.Struct):
    """A role that was taken."""

    role: Role
    taken: Taken  # by whoever has it now
    released: bool = False
    member: str = ""
    until: datetime | None = None  # when the member's lease ends

    def keeper(self, now: datetime) -> str | None:
        """The member whose lease isn't over."""
        return self.member if self.until and self.until > now else None


class Member(msgspec.Struct):
    able: list[Role]
    until: datetime


class State(msgspec.Struct):
    deployment: Deployment
    statuses: dict[str, dict[str, int]] = {}  # by workflow, for good
    partitions: dict[str, int] = {}  # the same
    records: dict[RunId, Record] = {}
    history: dict[RunId, list[HistoryEntry]] = {}
    outbox: list[OutboxEntry] = []  # in commit order
    last_entry: int = 0
    positions: dict[str, dict[int, int]] = {}
    holdings: dict[RoleName, Holding] = {}
    members: dict[str, Member] = {}
    timeouts: list[Timeout] = []
    completed: list[TimeoutKey] = []

    # --- writes ----------------------------------------------------------------------------------

    def commit(self, group: WriteGroup, now: datetime) -> GroupResult:
        if group.fence and (current := self.epoch(group.fence.role)) != group.fence.epoch:
            return Fenced(group.fence.role, current)
        for position in group.positions:
            offsets = self.positions.setdefault(position.group, {})
            offsets[position.partition] = max(position.offset, offsets.get(position.partition, 0))
        results = tuple(self._answer(write) or self._make(write, now) for write in group.writes)
        for event in group.events:
            self._put(event, None)
        return Committed(results)

    def _answer(self, write: Write) -> WriteResult | None:
        """The answer to a write that isn't to be made: it was made before, or it lost."""
        record = self.records.get(write.run_id)
        found = record.version if record else NO_VERSION
        if found == write.expected:
            return None if write.new is None else self._taken(write.run_id, write.new)
        made = any(entry.write_id == write.write_id for entry in self.history.get(write.run_id, ()))
        return Stored(write.run_id, write.version) if made else Conflict(write.run_id, found)

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        others = [record for record in self.records.values() if record.workflow == new.workflow]
        for other in others:
            if new.idempotency_key is not None and other.idempotency_key == new.idempotency_key:
                return KeyUsed(run_id, other.run_id)
        for other in others:
            if other.foreign_id == new.foreign_id and not other.run_state.finished:
                return ActiveRun(run_id, other.run_id)
        return None

    def _make(self, write: Write, now: datetime) -> WriteResult:
        said = {**asdict(write), "version": write.version}
        if write.new is None:
            record = replace(write.onto(self.records[write.run_id]), updated_at=now)
        else:
            record = msgspec.convert({**said, **asdict(write.new), "created_at": now, "updated_at": now}, Record)
        self.records[write.run_id] = record
        self.history.setdefault(write.run_id, []).append(msgspec.convert({**said, "at": now}, HistoryEntry))
        for asked in write.events:
            event = msgspec.convert({**said, **asdict(asked)}, Event)
            self._put(event, now + timedelta(seconds=asked.delay) if asked.delay > 0 else None)
        return Stored(write.run_id, write.version)

    def _put(self, event: Event, due_at: datetime | None) -> None:
        self.last_entry += 1
        self.outbox.append(OutboxEntry(id=self.last_entry, event=event, due_at=due_at))

    # --- what should run -------------------------------------------------------------------------

    def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        if expected != self.deployment.version:
            raise DeploymentConflict(expected, self.deployment.version)
        for workflow in workflows:
            partitions = self.partitions.setdefault(workflow.name, workflow.partitions)
            if partitions != workflow.partitions:
                raise PartitionsChanged(workflow.name, partitions, workflow.partitions)
            numbers = self.statuses.setdefault(workflow.name, {})
            for status, number in workflow.statuses.items():
                if numbers.setdefault(status, number) != number:
                    raise StatusRenumbered(workflow.name, status, numbers[status], number)
        self.deployment = replace(self.deployment, version=expected + 1, workflows=tuple(workflows))
        return self.deployment

    # --- roles -----------------------------------------------------------------------------------

    def epoch(self, role: RoleName) -> int:
        """The newest; 0: nobody ever took the role."""
        return self.holdings[role].taken.fence.epoch if role in self.holdings else 0

    def check(self, fence: Fence) -> None:
        if (current := self.epoch(fence.role)) != fence.epoch:
            raise RoleLost(fence.role, fence.epoch, current)

    def shards(self, group: str) -> int | None:
        return next((workflow.groups[group] for workflow in self.deployment.workflows if group in workflow.groups), None)

    def take(self, role: Role) -> Taken:
        if (current := self.shards(role.group)) != role.shards:
            raise RoleRetired(role.name, current)
        before = self.holdings.get(role.name)
        taken = Taken(Fence(role.name, self.epoch(role.name) + 1), clean=before is None or before.released)
        self.holdings[role.name] = Holding(role, taken)
        return taken

    def release(self, fence: Fence) -> None:
        if 0 < self.epoch(fence.role) == fence.epoch:
            self.holdings[fence.role].released, self.holdings[fence.role].until = True, None

    def share(self, member: str, roles: Sequence[Role], held: Sequence[Fence], *, now: datetime, until: datetime) -> Shared:
        self.members = {name: other for name, other in self.members.items() if other.until > now}
        self.members[member] = Member(list(roles), until)
        kept = [fence.role for fence in held if 0 < self.epoch(fence.role) == fence.epoch and self._current(fence.role)]
        for name in kept:
            self.holdings[name].member, self.holdings[name].until = member, until
        mine = {name for name, player in self._targets(now).items() if player == member}
        new = mine.difference(fence.role for fence in held)  # what it has lost it is to stop before it takes it again
        free = [role for role in roles if role.name in new and self._keeper(role.name, now) in (None, member)]
        return Shared(
            taken=tuple(self._lend(role, member, now, until) for role in free),
            lost=tuple(fence.role for fence in held if fence.role not in kept),
            surplus=tuple(name for name in kept if name not in mine),
        )

    def leave(self, member: str) -> None:
        self.members.pop(member, None)
        for holding in self.holdings.values():
            if holding.member == member:
                holding.until = None

    def _current(self, name: RoleName) -> bool:
        role = self.holdings[name].role
        return self.shards(role.group) == role.shards

    def _keeper(self, name: RoleName, now: datetime) -> str | None:
        return self.holdings[name].keeper(now) if name in self.holdings else None

    def _targets(self, now: datetime) -> dict[RoleName, str]:
        able: dict[RoleName, list[str]] = {}
        for name, member in self.members.items():
            for role in member.able:
                if self.shards(role.group) == role.shards:
                    able.setdefault(role.name, []).append(name)
        return assigned(able, {name: keeper for name in self.holdings if (keeper := self._keeper(name, now))})

    def _lend(self, role: Role, member: str, now: datetime, until: datetime) -> Taken:
        """Take the role. Where the member has it, the answer to an earlier heartbeat was lost: it gets the same again."""
        taken = self.holdings[role.name].taken if self._keeper(role.name, now) == member else self.take(role)
        self.holdings[role.name].member, self.holdings[role.name].until = member, until
        return taken
