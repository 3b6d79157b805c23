"""The store of runs: records, history, outbox, positions, fences, and what should run."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from workflow_ray.ports.methods import not_repeatable
from workflow_ray.records import (
    Activity,
    DeployedWorkflow,
    Deployment,
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
    Topic,
    Version,
    Waiting,
    WaitingQuery,
    WriteGroup,
)


class RecordStore(Protocol):
    """Holds runs, and what should run.

    Every method may raise StoreUnavailable. Then the outcome is unknown, and the call may be
    repeated with the same ids.

    Times are by the store's own clock, which its statements read. A store that was given another
    clock than SystemClock uses that one. A `wait` is in seconds. A notification ends it early, and
    wakes only the calls that wait for what has changed. Notifications may be lost, so a store also
    polls.
    """

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """Commit groups of writes in one transaction.

        Atomic: records, history, outbox entries, timeouts and positions of all groups are committed
            together, except what is left out: a write whose run is at another version (Conflict); a
            new run whose idempotency key is used (KeyUsed, with the digest that the first run
            stored with the key) or else whose foreign id has an unfinished run (ActiveRun); a group
            whose epoch is not the newest (Fenced). Of two writes for one version the first wins.
        Ordered: fences are locked by role, then records by run_id, then the rest. A run's outbox
            entries are in the order of their versions.
        Idempotent: by run_id and write_id. A write that is repeated gets Stored again and changes
            nothing.
        Positions: a position of the stored log and incarnation is merged: the larger `offset`, the
            larger `begun`, and `trying` and `in_use` as written. A position of another log or of a
            later incarnation replaces the stored one. A position of an earlier incarnation of the
            same log changes nothing.
        Timeouts: their due times count from the commit. They are created with the writes, or put
            into the outbox for a group with `timeouts_apart`.

        Returns:
            One answer for each group, in order.

        Raises:
            WriteRejected: The store can't store one of the writes. Nothing was stored.
            StoreFull: The store has no room. Nothing was stored.
            StoreBusy: The queue is full. Groups with a fence go first. Nothing was stored.
        """
        ...

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        """Read records, in the given order. None stands for a run that does not exist.

        It may answer a prefix, of one record at least: the record whose data exceeds BATCH_DATA in
        all is the last one. A caller that needs the rest asks again.

        Args:
            run_ids: The runs.
            fresh: Read where writes commit, so that nothing committed before the call is missed.
        """
        ...

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        """Read the newest run of each foreign id, in the given order. None stands for a foreign id
        that never had a run. Foreign ids are compared byte for byte.
        """
        ...

    async def runs(self, query: RunQuery) -> list[Record]:
        """Read one page of runs, sorted by run id. Only an empty page is the end.

        The pages neither repeat nor skip a run that existed before the first page. A page has as
        many runs as the query's limit, or fewer: the run whose data exceeds BATCH_DATA in all is
        the last one.
        """
        ...

    async def counts(self, workflow: str) -> list[RunCount]:
        """Count the runs at each status in each run state, in one snapshot, sorted by status, then
        run state. Combinations without runs are left out.
        """
        ...

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        """Read the run's entries with a version above `after`, ascending; none for an unknown run.

        It answers `limit` entries, or fewer: the entry whose data exceeds BATCH_DATA in all is the
        last one. Only an empty answer is the end.
        """
        ...

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        """Read those of the runs whose version is above the one seen, by run id.

        The run whose data exceeds BATCH_DATA in all is the last one. Another call reads the others
        at once.

        Args:
            seen: For each run, the version that the caller knows.
            wait: The most seconds to wait for the first of them.
            at_rest: Only runs that take no further step by themselves, paused or finished. Versions
                of other runs do not end the wait.
        """
        ...

    async def positions(self, group: str) -> list[Position]:
        """Read the group's positions, by partition. A partition without one begins at offset 0."""
        ...

    async def pending(
        self,
        fence: Fence,
        *,
        limit: int,
        wait: float,
        without: Sequence[tuple[Topic, int]] = (),
        timeouts_only: bool = False,
    ) -> list[OutboxEntry]:
        """List outbox entries that are due for publication, in commit order per topic-partition.

        Delayed entries and immediate ones share the limit fairly: a backlog of one kind delays the
        other by one answer at most. Entries that carry a timeout are due at once.

        Args:
            fence: The publisher's.
            limit: The most entries to list.
            wait: The most seconds to wait for the first.
            without: Topic-partitions to leave out, because sending to them has failed. Timeouts are
                listed all the same.
            timeouts_only: List only entries that carry a timeout, because events move inside the
                store.

        Raises:
            RoleLost: The fence is old.
        """
        ...

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        """Remove outbox entries that were sent. Idempotent.

        Raises RoleLost: the fence is old. Nothing was removed.
        """
        ...

    async def waiting(self, query: WaitingQuery) -> Waiting:
        """Find runs that await an event (Awaits.EVENT) and have none in the outbox.

        Their event is in the stream, or lost. The cost does not grow with the number of runs that
        are finished, paused or wait for something else.
        """
        ...

    async def activity(self, *, limit: int = 500) -> Activity:
        """Read who works, and up to `limit` events that are not due yet, in one snapshot.

        The cost grows with the answer only, not with the number of runs and events.
        """
        ...

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        """Read what should run.

        newer_than: Wait up to `wait` seconds for a version above this one.
        """
        ...

    @not_repeatable  # it would conflict with its own first attempt
    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        """Set what should run: these workflows, with `shards(group)` as the shard count of each of
        their groups. All others are retired.

        Atomic: it locks the topology of the groups, then raises the epoch of every role that was
            ever acquired in a group that is retired or whose shard count changes. That fences off
            all earlier holders, dead or alive. Of retired groups and workflows only the fences are
            kept. The names and numbers of statuses are kept for good, also those of retired
            workflows and of statuses that were left out.

        Raises:
            DeploymentConflict: The deployment is not at version `expected`.
            StatusRenumbered, PartitionsChanged: Nothing was written.
        """
        ...


class RoleScheduler(Protocol):
    """Decides who holds a role. To acquire a role raises its epoch, which fences off its earlier
    holder.

    There are two ways to use it. If something else decides which process holds a role, as Ray does,
    that process acquires it. If workers share roles among themselves, each of them calls `share`
    every few seconds.
    """

    async def acquire(self, role: Role) -> Fence:
        """Acquire a role. Epochs only go up, and are kept for good.

        Atomic together with the check of the group's shard count.
        Raises RoleRetired: the group is not deployed, or has another number of shards.
        """
        ...

    async def release(self, fence: Fence) -> None:
        """Release a role. Idempotent.

        Its lease ends, if the fence is still the newest. `in_use` of the positions that name this
        fence is cleared, also if the role has a newer holder by now: what this holder ran is not in
        doubt.
        """
        ...

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        """Send a worker's heartbeat: renew its leases, and acquire roles of its share.

        `assigned` decides each live worker's share. The worker acquires, as `acquire` does, the
        roles of its share that have no lease or an expired one. A role that it holds and another
        worker should have is surplus. A role with a newer epoch is lost. Atomic: two workers never
        acquire one role. A repeat acquires nothing again.

        Args:
            worker: The worker's name.
            roles: The roles that the worker can run now. Roles of a group that is draining are not
                among them.
            held: The roles that it runs, also the ones that it is about to release.
            lease: Seconds, by the store's clock, for which the worker is live and holds its roles.

        Raises:
            StoreInUse: A process has the store exclusively, as on a Ray cluster. Nothing was
                acquired.
        """
        ...

    async def leave(self, worker: str) -> None:
        """End the worker's leases, so that others acquire its roles at their next heartbeat.
        Idempotent.
        """
        ...
