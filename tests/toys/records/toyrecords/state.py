"""The content of the file.

Each method looks, decides and changes; the store makes transactions of them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import asdict, replace

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
    NewTimeout,
    OutboxEntry,
    Position,
    Record,
    Role,
    RoleName,
    RunId,
    Shared,
    Stored,
    Timeout,
    TimeoutKey,
    Write,
    WriteGroup,
    WriteResult,
)


class State(msgspec.Struct):
    deployment: Deployment
    statuses: dict[str, dict[str, int]] = {}  # by workflow, kept for good
    partitions: dict[str, int] = {}  # the same
    records: dict[RunId, Record] = {}
    digests: dict[RunId, bytes] = {}  # the runs that have an idempotency key
    history: dict[RunId, list[HistoryEntry]] = {}
    outbox: list[OutboxEntry] = []  # in commit order
    last_entry: int = 0
    positions: dict[str, dict[int, Position]] = {}  # by group and partition
    holdings: dict[RoleName, Holding] = {}
    workers: dict[str, Worker] = {}
    timeouts: list[Timeout] = []
    completed: list[tuple[TimeoutKey, datetime]] = []

    # --- writes ---------------------------------------------------------------------------------

    def commit(self, group: WriteGroup, now: datetime) -> GroupResult:
        if group.fence and (current := self.epoch(group.fence.role)) != group.fence.epoch:
            return Fenced(group.fence.role, current)
        for position in group.positions:
            rows = self.positions.setdefault(position.group, {})
            rows[position.partition] = _merged(rows.get(position.partition), position)
        results = tuple(
            self._answer(write) or self._make(write, now, group.timeouts_apart)
            for write in group.writes
        )
        for event in group.events:
            self._put(event, None)
        return Committed(results)

    def _answer(self, write: Write) -> WriteResult | None:
        """Return the answer to a write that must not be made: it was made already, or it lost."""
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
                return KeyUsed(run_id, other.run_id, self.digests.get(other.run_id))
        for other in others:
            if other.foreign_id == new.foreign_id and not other.run_state.finished:
                return ActiveRun(run_id, other.run_id)
        return None

    def _make(self, write: Write, now: datetime, timeouts_apart: bool) -> WriteResult:
        said = {**asdict(write), "version": write.version}
        if write.new is None:
            record = replace(write.onto(self.records[write.run_id]), updated_at=now)
        else:
            new = {
                "awaited": write.version if write.asks else NO_VERSION,
                "created_at": now,
                "updated_at": now,
            }
            record = msgspec.convert({**said, **asdict(write.new), **new}, Record)
            if write.new.digest is not None:
                self.digests[write.run_id] = write.new.digest
        self.records[write.run_id] = record
        self.history.setdefault(write.run_id, []).append(
            msgspec.convert({**said, "at": now}, HistoryEntry)
        )
        for asked in write.events:
            event = msgspec.convert({**said, **asdict(asked)}, Event)
            self._put(event, now + timedelta(seconds=asked.delay) if asked.delay > 0 else None)
        for new_timeout in write.timeouts:
            timeout = _timeout(write, new_timeout, now)
            if timeouts_apart:
                self._put(timeout, None)
            else:
                self.create(timeout)
        return Stored(write.run_id, write.version)

    def _put(self, what: Event | Timeout, due_at: datetime | None) -> None:
        self.last_entry += 1
        event, timeout = (what, None) if isinstance(what, Event) else (None, what)
        self.outbox.append(
            OutboxEntry(id=self.last_entry, event=event, timeout=timeout, due_at=due_at)
        )

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


def _merged(before: Position | None, written: Position) -> Position:
    if before is None or written.log != before.log or written.incarnation > before.incarnation:
        return written
    if written.incarnation < before.incarnation:
        return before
    return replace(
        written, offset=max(before.offset, written.offset), begun=max(before.begun, written.begun)
    )


def _timeout(write: Write, asked: NewTimeout, now: datetime) -> Timeout:
    due_at = asked.at if asked.at is not None else now + timedelta(seconds=asked.after or 0.0)
    key = TimeoutKey(write.run_id, write.visit, asked.name)
    return Timeout(
        key=key,
        workflow=asked.workflow,
        status=write.status,
        partition=asked.partition,
        due_at=due_at,
    )
