"""Where runs live: records, history, outbox, positions, fences, and what should run."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    GroupResult,
    HistoryEntry,
    OutboxEntry,
    Position,
    Record,
    Role,
    RunCount,
    RunId,
    RunQuery,
    Shared,
    Taken,
    Topic,
    Version,
    WriteGroup,
)


class RecordStore(Protocol):
    """Every method may raise StoreUnavailable: the outcome is unknown, and repeating it with the same ids is safe.

    Times are the store's clock's. A `wait` is in seconds; a hint ends it early, and hints may be lost: a poll lies beneath them.
    """

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """Commit what roles and clients decided: one answer per group, in the order given.

        Atomic: all that commits does so at once: records, history, outbox entries and positions of every group.
        Left out: a write whose run is at another version (answers Conflict); a new run whose idempotency key is taken
        (KeyUsed) or, failing that, whose foreign id has an unfinished run (ActiveRun); a group whose epoch isn't the
        newest (Fenced). Of two writes for one version the first in order wins.
        Ordered: fences by role, then records by run_id, then the rest; a run's outbox entries by version.
        Idempotent: by run_id and write_id. A repeat gets Stored again and writes nothing. A position never goes back.
        Raises WriteRejected: some write can't be held by this store; StoreFull: no room; StoreBusy: the queue is full (groups
        with a fence go before those without). Nothing of `groups` was stored.
        """
        ...

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        """The records, in the order asked for; None where there is no such run.

        fresh: read where writes commit, so that nothing committed before the call is missed.
        """
        ...

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        """The newest run of each foreign id (compared byte for byte), in the order asked for; None where it never had one."""
        ...

    async def runs(self, query: RunQuery) -> list[Record]:
        """One page, sorted by run id. Only an empty one is the end. Pages neither repeat nor skip a run that stood before the first.

        Up to the query's limit, and until their data exceeds BATCH_DATA: the run that crosses it is the page's last.
        """
        ...

    async def counts(self, workflow: str) -> list[RunCount]:
        """How many runs stand where, in one snapshot; only where there are some, sorted by status, then run_state."""
        ...

    async def history(self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000) -> list[HistoryEntry]:
        """The run's entries with a version above `after`, ascending; none for an unknown run.

        Up to `limit`, and until their data exceeds BATCH_DATA: the entry that crosses it is the last. Only an empty answer is the end.
        """
        ...

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False) -> list[Record]:
        """Those of the runs whose version is above the one seen, by run id; waits up to `wait` seconds for the first.

        at_rest: only those that take no further step by themselves, finished or paused; the others' versions wake nobody.
        Where their data exceeds BATCH_DATA the run that crosses it is the last; to ask again brings the others, at once.
        """
        ...

    async def positions(self, group: str) -> list[Position]:
        """The group's positions, by partition; a partition that has none begins at offset 0."""
        ...

    async def pending(self, fence: Fence, *, limit: int, wait: float, without: Sequence[tuple[Topic, int]] = ()) -> list[OutboxEntry]:
        """Up to `limit` entries due for publication, in commit order per topic and partition; waits up to `wait` seconds for the first.

        without: topics and partitions to leave out, because sending to them has failed and backs off.
        Raises RoleLost: the fence is old.
        """
        ...

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        """Remove outbox entries that were sent. Idempotent. Raises RoleLost: the fence is old, and nothing was removed."""
        ...

    async def idle(self, workflow: str, statuses: Sequence[int], *, seconds: float, limit: int, after: RunId | None = None) -> list[Event]:
        """Runs at these statuses that could proceed, but were last written `seconds` ago or longer, and have no outbox entry.

        As the events that should have woken them: `topic` is the status's, `version` the record's. Sorted by run id, from above
        `after` on; only an empty answer is the end.
        """
        ...

    async def deployment(self) -> Deployment:
        """What should run, as last written."""
        ...

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        """Make `workflows` what should run, and their groups' shard counts the current ones; others of before are retired.

        Atomic. Statuses' names and numbers are kept for good, those of retired workflows and left-out statuses too.
        Raises DeploymentConflict: the deployment isn't at version `expected`; StatusRenumbered; PartitionsChanged.
        """
        ...


class RoleScheduler(Protocol):
    """Who holds a role. Taking one raises its epoch, and that fences off whoever held it before.

    Two ways to use it: where something else says who is to hold a role, as Ray does, that process takes it. Where processes share
    roles among themselves, each of them calls `share` every few seconds.
    """

    async def take(self, role: Role) -> Taken:
        """Take the role. Epochs only go up, and are never forgotten. Atomic with the check of the group's shard count.

        Raises RoleRetired: the group isn't deployed, or with another number of shards.
        """
        ...

    async def release(self, fence: Fence) -> None:
        """Say that the role was left with nothing in doubt; its lease ends. Does nothing where the fence is old. Idempotent."""
        ...

    async def share(self, member: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float) -> Shared:
        """A heartbeat of the process `member`: it lives, and what it holds is its own, for `lease` more seconds by the store's clock.

        roles: those that it can play. held: those that it plays, also such as it is about to leave.
        Each live member's fair share is told by `assigned`. Of its own share it takes, as `take` does, the roles that nobody holds:
        whose lease is over, or that have none. What it holds beyond its share is surplus. Lost is what has a newer holder, or is
        retired. Atomic; members are told one after another, so no role is ever taken by two. A repeat takes nothing twice.
        Raises StoreInUse: a process has the store exclusively, as a Ray cluster's does; nothing was taken.
        """
        ...

    async def leave(self, member: str) -> None:
        """The member is gone: its leases end now, so that the others take over at their next heartbeat. Idempotent."""
        ...
