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
    Message,
    MessageQuery,
    OnceResult,
    OutboxEntry,
    Parked,
    ParkedQuery,
    Position,
    Record,
    RunCount,
    RunId,
    RunQuery,
    SetAside,
    SetAsideQuery,
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
            whose epoch is not the newest (Fenced); a write that takes a message which does not wait
            (MessageGone), or else whose child's foreign id is taken (ChildRefused). Of two writes
            for one version the first wins. A group's writes come before its messages, failures and
            results.
        Ordered: fences are locked by role, then records by run_id, then the rest. A run's outbox
            entries are in the order of their versions.
        Awaits: `sort_inbox` decides what becomes of each message of the run when a write lands:
            accepted ones expire no more, and settled ones get the write's version. If some are
            accepted and the run is not at rest, it awaits an event (Awaits.EVENT), whatever the
            write says, also if parked. Unless the write itself puts an event for the run's status
            into the outbox without a delay, an event of NO_VERSION is put there: topic and
            partition are those of the status and the run; it is due with the first such message.
        Messages: a message whose key is known gets Posted again, whatever became of it, before its
            run is looked up. A run of another workflow than the key's is none (NoRun). Otherwise
            the run is locked, `sort_inbox` decides, and the message is stored, and the record's
            `messages` raised, if it is accepted or kept. If it is accepted and the run is not at
            rest, the run awaits an event, and an event of NO_VERSION is put into the outbox. The
            run gets no version, and its `updated_at` stays. A message to a paused run waits until a
            write lands that lets the run proceed.
        Takes: a message that has expired does not wait.
        Failures: a message that waits for the run gets the attempt, reason and due time. With
            `retry_in` an event of NO_VERSION is put into the outbox with that delay, if the message
            is accepted and the run is not at rest. Without, the message is settled as FAILED at the
            run's version; if the run awaits an event and no step is to run (`awaited`), or the run
            is parked, it awaits a message (or Awaits.PARKED), or the accepted ones that are left,
            with an event of NO_VERSION. Failures of other messages are left out.
        Expires: the messages are settled as EXPIRED at the run's version and, by whatever way they
            are settled, at the time at which they expired.
        Once: a result is stored if the run is in the visit and not finished, and the name has none
            yet. The results of a visit are removed when a write leaves it, or ends the run.
        Children: each is stored as a new run after its parent's write, or joined: then the active
            run is linked as well. A write links a run once: the first of its links to it counts. A
            link to a run that has ended meanwhile is as if it ended afterwards. If the write of a
            run that ends the run lands, each parent that is not finished gets the message that its
            link asks for: id `parent:child:version` by the version that made the link, name the
            child's workflow, kept at every status, without limit.
        Gatherings: for each parent and workflow of children the store counts those whose link is
            gathered, from the first that started after the last message of MessageKind.CHILDREN was
            taken. That message has the id `parent:workflow:version` by the parent's version, and is
            kept nowhere. It is posted when none of the counted children is open any more, if the
            parent is at a status in `gathered_at`; and when a write lands whose `gatherings` name
            the workflow, if none is open and no such message waits. A write that starts further
            ones settles a message of their workflow that waits as PASSED: they are to be waited for
            as well.
        Set aside: entries are made, or replaced but for `set_aside_at`. `taken_back` are removed.
        Idempotent: by run_id and write_id. A write that is repeated gets Stored again and changes
            nothing.
        Erases: the data (empty where there was some), reason and error of earlier versions'
            entries, the payloads and errors of the run's messages, and its results of `once`.
        Removals: are carried out after all else of their group. See Removal.
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

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        """Read messages, in the order in which they were posted, up to the query's limit. Unknown
        keys are left out.

        A message that has expired is answered as settled, with the run's version, whether or not it
        was settled already. The message whose payload exceeds BATCH_DATA in all is the last one.

        Args:
            query: The messages.
            settled: Only those that are settled.
            wait: The most seconds to wait for the first.
        """
        ...

    async def results(self, run_ids: Sequence[RunId]) -> list[OnceResult]:
        """Read the results of `once` that are stored for the current visits of these runs."""
        ...

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        """Read a page of entries that a group has set aside.

        The entry whose event exceeds BATCH_DATA in all is the last one.

        wait: With `due` only: the most seconds to wait until the first entry is due.
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
            without: Topic-partitions to leave out, but for timeouts: sending to them has failed.
            timeouts_only: List only timeouts, because events move inside the store.

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

        Their event is in the stream, or lost. The cost does not grow with the number of other runs.
        """
        ...

    async def parked(self, query: ParkedQuery, *, wait: float = 0.0) -> Parked:
        """Read the runs that flow control orders at a status, in one snapshot.

        Parked are those with `parked`, and a slot is held by those with `parking` and without
        `parked`, while they are not at rest. The cost grows with the answer only: with its keys,
        the runs that it names and the slots that are held, not with the number of parked runs.

        Args:
            query: The status, and the page.
            wait: With `seen`: the most seconds to wait until a run parks at the status, or one that
                flow control orders there goes on, is paused or ends.
        """
        ...

    async def activity(
        self, *, limit: int = 500, steps: Mapping[RunId, Version] | None = None
    ) -> Activity:
        """Read who works, and up to `limit` events that are not due yet, in one snapshot.

        The cost grows with the answer only, not with the number of runs and events.

        steps: Only the events that ask for these steps: of each run that of this version.
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
