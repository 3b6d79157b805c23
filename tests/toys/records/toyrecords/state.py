"""The content of the file.

Each method looks, decides and changes; the store makes transactions of them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from toyrecords.holders import Holding, Worker
from workflow_ray.errors import (
    DeploymentConflict,
    PartitionsChanged,
    RoleLost,
    RoleRetired,
    StatusRenumbered,
)
from workflow_ray.ports import assigned
from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    HistoryEntry,
    Linked,
    Message,
    MessageKey,
    NewSetAside,
    OnceResult,
    OutboxEntry,
    Position,
    Record,
    Role,
    RoleName,
    RunId,
    RunState,
    SetAside,
    SetAsideKey,
    Shared,
    Timeout,
    TimeoutKey,
)


class Child(msgspec.Struct):
    """A child of a parent."""

    linked: Linked
    workflow: str
    ended: RunState | None = None
    is_reported: bool = False  # its end is in a message that was taken


class UsedKey(msgspec.Struct, frozen=True):
    """The run that used an idempotency key first."""

    run_id: RunId
    digest: bytes | None = None


class State(msgspec.Struct):
    deployment: Deployment
    statuses: dict[str, dict[str, int]] = {}  # by workflow, kept for good
    partitions: dict[str, int] = {}  # the same
    records: dict[RunId, Record] = {}
    keys: dict[str, dict[str, UsedKey]] = {}  # idempotency keys, by workflow
    history: dict[RunId, list[HistoryEntry]] = {}
    outbox: list[OutboxEntry] = []  # in commit order
    last_entry: int = 0
    positions: dict[str, dict[int, Position]] = {}  # by group and partition
    holdings: dict[RoleName, Holding] = {}
    workers: dict[str, Worker] = {}
    timeouts: list[Timeout] = []
    completed: list[tuple[TimeoutKey, datetime]] = []
    messages: list[Message] = []  # in the order in which they were posted
    results: dict[RunId, dict[str, OnceResult]] = {}  # by run and name
    children: list[Child] = []
    entries: list[SetAside] = []  # in order

    # --- runs and messages ----------------------------------------------------------------------

    def amend(self, run_id: RunId, **changes: Any) -> None:
        """Change a record without a version."""
        self.records[run_id] = replace(self.records[run_id], **changes)

    def put(self, what: Event | Timeout, due_at: datetime | None) -> None:
        """Put an entry into the outbox."""
        self.last_entry += 1
        event, timeout = (what, None) if isinstance(what, Event) else (None, what)
        self.outbox.append(
            OutboxEntry(id=self.last_entry, event=event, timeout=timeout, due_at=due_at)
        )

    def message(self, key: MessageKey) -> Message | None:
        return next((message for message in self.messages if message.key == key), None)

    def change(self, changed: Message) -> None:
        """Replace the message of the same key."""
        self.messages = [
            changed if message.key == changed.key else message for message in self.messages
        ]

    # --- children -------------------------------------------------------------------------------

    def link(self, new: Linked, workflow: str) -> bool:
        """Link a child of the workflow. False: the parent's version has linked it already."""
        same = (new.parent, new.child, new.since)
        linked = (child.linked for child in self.children)
        if any((other.parent, other.child, other.since) == same for other in linked):
            return False
        self.children.append(Child(new, workflow))
        self.amend(new.child, has_parents=True)
        if new.link.cascades:
            self.amend(new.parent, cascades=True)
        return True

    def as_child(self, run_id: RunId) -> list[Child]:
        """Return the run as the child of each of its parents."""
        return [child for child in self.children if child.linked.child == run_id]

    def counted(self, parent: RunId, workflow: str) -> list[Child]:
        """Return the children of the workflow that are awaited together."""
        return [
            child
            for child in self.children
            if (child.linked.parent, child.workflow) == (parent, workflow)
            and child.linked.link.gathered_at
            and not child.is_reported
        ]

    def open_children(self, parent: RunId, workflow: str) -> int:
        return sum(child.ended is None for child in self.counted(parent, workflow))

    def stop_counting(self, parent: RunId, workflow: str) -> None:
        """Count only the children that start from now on."""
        for child in self.counted(parent, workflow):
            child.is_reported = True

    # --- entries set aside ----------------------------------------------------------------------

    def set_aside(self, entries: Sequence[NewSetAside], now: datetime) -> None:
        for new in entries:
            known = [entry for entry in self.entries if entry.key == new.key]
            self.take_back([new.key])
            due_at = None if new.retry_in is None else now + timedelta(seconds=new.retry_in)
            made = SetAside(
                key=new.key,
                event_id=new.event_id,
                event=new.event,
                attempt=new.attempt,
                error=new.error,
                due_at=due_at,
                set_aside_at=known[0].set_aside_at if known else now,
                changed_at=now,
            )
            self.entries = sorted([*self.entries, made], key=lambda entry: place(entry.key))

    def take_back(self, keys: Sequence[SetAsideKey]) -> None:
        self.entries = [entry for entry in self.entries if entry.key not in keys]

    # --- timeouts -------------------------------------------------------------------------------

    def create(self, timeout: Timeout) -> None:
        if timeout.key not in (known.key for known in self.timeouts):
            self.timeouts.append(timeout)

    def complete(self, keys: Sequence[TimeoutKey], now: datetime) -> None:
        open_keys = {timeout.key for timeout in self.timeouts} - self.completed_keys()
        self.completed += [(key, now) for key in keys if key in open_keys]

    def completed_keys(self) -> set[TimeoutKey]:
        return {key for key, _ in self.completed}

    def forget(self, keys: set[TimeoutKey]) -> int:
        self.completed = [done for done in self.completed if done[0] not in keys]
        self.timeouts = [timeout for timeout in self.timeouts if timeout.key not in keys]
        return len(keys)

    # --- what should run ------------------------------------------------------------------------

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
        before = {
            holding.role.group: self.shards(holding.role.group)
            for holding in self.holdings.values()
        }
        self.deployment = replace(self.deployment, version=expected + 1, workflows=tuple(workflows))
        for holding in self.holdings.values():
            # this fences off its holder, dead or alive
            if self.shards(holding.role.group) != before[holding.role.group]:
                holding.epoch, holding.until = holding.epoch + 1, None
        return self.deployment

    # --- roles ----------------------------------------------------------------------------------

    def epoch(self, role: RoleName) -> int:
        """Return the newest epoch; 0: the role was never acquired."""
        return self.holdings[role].epoch if role in self.holdings else 0

    def check(self, fence: Fence) -> None:
        if (current := self.epoch(fence.role)) != fence.epoch:
            raise RoleLost(fence.role, fence.epoch, current)

    def shards(self, group: str) -> int | None:
        return next(
            (
                workflow.shards(group)
                for workflow in self.deployment.workflows
                if group in workflow.groups
            ),
            None,
        )

    def acquire(self, role: Role) -> Fence:
        current = self.shards(role.group)
        if current != role.shards or not 1 <= role.shard <= role.shards:
            raise RoleRetired(role.name, current)
        self.holdings[role.name] = Holding(role, self.epoch(role.name) + 1)
        return Fence(role.name, self.epoch(role.name))

    def release(self, fence: Fence) -> None:
        for rows in self.positions.values():
            for position in [position for position in rows.values() if position.in_use == fence]:
                rows[position.partition] = replace(position, in_use=None)
        if 0 < self.epoch(fence.role) == fence.epoch:
            self.holdings[fence.role].until = None

    def share(
        self,
        worker: str,
        roles: Sequence[Role],
        held: Sequence[Fence],
        *,
        now: datetime,
        until: datetime,
    ) -> Shared:
        self.workers = {name: other for name, other in self.workers.items() if other.until > now}
        self.workers[worker] = Worker(list(roles), until)
        kept = [fence.role for fence in held if 0 < self.epoch(fence.role) == fence.epoch]
        for name in kept:
            self.holdings[name].worker, self.holdings[name].until = worker, until
        mine = {name for name, target in self._targets(now).items() if target == worker}
        # A lost role is stopped before it is acquired again.
        new = mine.difference(fence.role for fence in held)
        free = [
            role
            for role in roles
            if role.name in new and self._holder(role.name, now) in (None, worker)
        ]
        return Shared(
            acquired=tuple(self._lend(role, worker, now, until) for role in free),
            lost=tuple(fence.role for fence in held if fence.role not in kept),
            surplus=tuple(name for name in kept if name not in mine),
        )

    def leave(self, worker: str) -> None:
        self.workers.pop(worker, None)
        for holding in self.holdings.values():
            if holding.worker == worker:
                holding.until = None

    def _holder(self, name: RoleName, now: datetime) -> str | None:
        return self.holdings[name].holder(now) if name in self.holdings else None

    def _targets(self, now: datetime) -> dict[RoleName, str]:
        able: dict[RoleName, list[str]] = {}
        for name, worker in self.workers.items():
            for role in worker.able:
                if self.shards(role.group) == role.shards:
                    able.setdefault(role.name, []).append(name)
        return assigned(
            able, {name: holder for name in self.holdings if (holder := self._holder(name, now))}
        )

    def _lend(self, role: Role, worker: str, now: datetime, until: datetime) -> Fence:
        """Acquire the role for the worker.

        Where the worker holds it already, the answer to an earlier heartbeat was lost: it gets the
        same fence again.
        """
        again = self._holder(role.name, now) == worker
        fence = Fence(role.name, self.epoch(role.name)) if again else self.acquire(role)
        self.holdings[role.name].worker, self.holdings[role.name].until = worker, until
        return fence


def place(key: SetAsideKey) -> tuple[str, int, str, int, int]:
    return key.group, key.partition, key.log, key.incarnation, key.offset
