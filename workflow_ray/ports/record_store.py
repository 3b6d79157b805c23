"""Where runs live: records, history, outbox, positions, fences, and what should run."""

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
    """Every method may raise StoreUnavailable: the outcome is unknown, and repeating it with the
    same ids is safe.

    Times are by the store's own clock, read inside its statements; a store that was given another
    clock than SystemClock uses that one. A `wait` is in seconds; a notification ends it early, and
    notifications may be lost: a poll lies beneath them. A notification wakes only those who wait
    for what has changed.
    """

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """Commit what roles and clients decided: one answer per group, in the order given.

        Atomic: all that commits does so at once: records, history, outbox entries, timeouts and
            positions of every group. Left out: a write whose run is at another version (answers
            Conflict); a new run whose idempotency key is taken (KeyUsed, with the digest that the
            first run stored with the key) or, failing that, whose foreign id has an unfinished run
            (ActiveRun); a group whose epoch isn't the newest (Fenced). Of two writes for one
            version the first in order wins.
        Ordered: fences by role, then records by run_id, then the rest; a run's outbox entries by
            version.
        Idempotent: by run_id and write_id. A repeat gets Stored again and writes nothing.
        Positions: one that names the log and the incarnation that are stored is merged: the further
            `offset`, the further `begun`, and `trying` and `in_use` as written. One of another log,
            or of a later incarnation, replaces all of the row. One of an earlier incarnation of the
            same log changes nothing.
        Timeouts: each gets its due time from the time of the commit. They are created with the
            writes, or, for a group with `timeouts_apart`, put into the outbox. Raises
            WriteRejected: some write can't be held by this store; StoreFull: no room; StoreBusy:
            the queue is full (groups with a fence go before those without). Nothing of `groups` was
            stored.
        """
        ...

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        """The records, in the order asked for; None where the run does not exist.

        It may answer a prefix, of one record at least where any was asked for: the record whose
        data exceeds BATCH_DATA is the last one. Whoever needs the others asks again for the rest.
        fresh: read where writes commit, so that nothing committed before the call is missed.
        """
        ...

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        """The newest run of each foreign id (compared byte for byte), in the order asked for; None
        where it never had one.
        """
        ...

    async def runs(self, query: RunQuery) -> list[Record]:
        """One page, sorted by run id. Only an empty one is the end. Pages neither repeat nor skip a
        run that stood before the first.

        Up to the query's limit, and until their data exceeds BATCH_DATA: the run that crosses it is
        the page's last.
        """
        ...

    async def counts(self, workflow: str) -> list[RunCount]:
        """How many runs stand where, in one snapshot; only where there are some, sorted by status,
        then run_state.
        """
        ...

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        """The run's entries with a version above `after`, ascending; none for an unknown run.

        Up to `limit`, and until their data exceeds BATCH_DATA: the entry that crosses it is the
        last. Only an empty answer is the end.
        """
        ...

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        """Those of the runs whose version is above the one seen, by run id; waits up to `wait`
        seconds for the first.

        at_rest: only those that take no further step by themselves, finished or paused; the others'
            versions wake nobody. Where their data exceeds BATCH_DATA the run that crosses it is the
            last; to ask again brings the others, at once.
        """
        ...

    async def positions(self, group: str) -> list[Position]:
        """The group's positions, by partition; a partition that has none begins at offset 0."""
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
        """Up to `limit` entries due for publication, in commit order per topic and partition; waits
        up to `wait` seconds for the first.

        Delayed entries that are due and immediate ones share the limit fairly: a backlog of the one
        holds up the other by one answer at most. Entries that carry a timeout are due at once.
        without: topics and partitions to leave out, because sending to them has failed and backs
            off; no timeout is left out for that.
        timeouts_only: entries that carry a timeout, and no events: those move inside the store.
        Raises RoleLost: the fence is old.
        """
        ...

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        """Remove outbox entries that were sent.

        Idempotent. Raises RoleLost: the fence is old, and nothing was removed.
        """
        ...

    async def waiting(self, query: WaitingQuery) -> Waiting:
        """Look for runs that await an event (Awaits.EVENT) and have no outbox entry: their event is
        in the stream, or lost.

        A look costs the same however many runs are finished, paused or wait for something else.
        """
        ...

    async def activity(self, *, limit: int = 500) -> Activity:
        """Look at who works, and at up to `limit` events that only time holds back, in one
        snapshot.

        It costs as much as there are roles and events in the answer, however many runs and events
        there are.
        """
        ...

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        """What should run, as last written.

        newer_than: wait up to `wait` seconds for a version above this one.
        """
        ...

    @not_repeatable  # it would conflict with its own first attempt
    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        """Make `workflows` what should run, and `shards(group)` the current shard count of each of
        their groups; others are retired.

        Atomic: locks the topology of the groups, then raises the epoch of every role that was ever
            acquired in a group whose shard count changes, or that is retired. So all of its former
            holders are fenced off, dead or alive. Retired groups and workflows are forgotten, but
            for their fences. Statuses' names and numbers are kept for good, those of retired
            workflows and left-out statuses too. Raises DeploymentConflict: the deployment isn't at
            version `expected`; StatusRenumbered; PartitionsChanged.
        """
        ...


class RoleScheduler(Protocol):
    """Who holds a role. Acquiring one raises its epoch, and that fences off whoever held it before.

    Two ways to use it: where something else says who is to hold a role, as Ray does, that process
    acquires it. Where workers share roles among themselves, each of them calls `share` every few
    seconds.
    """

    async def acquire(self, role: Role) -> Fence:
        """Acquire the role. Epochs only go up, and are never forgotten. Atomic with the check of
        the group's shard count.

        Raises RoleRetired: the group isn't deployed, or with another number of shards.
        """
        ...

    async def release(self, fence: Fence) -> None:
        """Give the role back: its lease ends, if the fence is still the newest, and positions whose
        `in_use` is this fence have none.

        The positions also where the role has a newer holder by now: what this one had in hand is
        not in doubt. Idempotent.
        """
        ...

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        """A heartbeat of the process `worker`: it lives, and what it holds is its own, for `lease`
        more seconds by the store's clock.

        Each live worker's fair share is decided by `assigned`. Of its own share it acquires, as
        `acquire` does, the roles that nobody
        holds: whose lease is over, or that have none. What it holds and another worker should have
            is surplus. Lost is what has a newer epoch. Atomic: no role is ever acquired by two. A
            repeat acquires nothing twice.

        Args:
            roles: Those that the worker can run; of those it is not to run now, such as those of a
                group that is draining, none.
            held: Those that it runs, also the ones that it is about to release.

        Raises:
            StoreInUse: A process has the store exclusively, as a Ray cluster's does; nothing was
                acquired.
        """
        ...

    async def leave(self, worker: str) -> None:
        """The worker is gone: its leases end now, so that the others take over at their next
        heartbeat. Idempotent.
        """
        ...
