"""What runs wait for, in a transaction that changes it."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from workflow_ray.records import (
    Committed,
    Linked,
    Message,
    MessageKey,
    MessageKind,
    RunId,
    Write,
    WriteGroup,
    check_group,
)
from workflow_ray_adapters.sql import existing, once_results
from workflow_ray_adapters.sql.families import Families, find_gathered, find_parents
from workflow_ray_adapters.sql.found import Found
from workflow_ray_adapters.sql.inboxes import Inboxes, find_first, find_known, find_waiting
from workflow_ray_adapters.sql.marks import HAS_PARENTS, HAS_RESULTS, count_messages
from workflow_ray_adapters.sql.messaging import Messaging
from workflow_ray_adapters.sql.once_results import OnceResults
from workflow_ray_adapters.sql.removals import Removals
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.set_asides import Entries
from workflow_ray_adapters.sql.targets import Targets
from workflow_ray_adapters.sql.transitions import Transitions
from workflow_ray_adapters.sql.write_batch import WriteBatch

LONG = 100
"""The number of messages of an inbox above which it is not always read to the end."""


@dataclass
class Waits:
    """Messages, children, results of `once`, entries set aside and removals, of a transaction."""

    messaging: Messaging
    families: Families
    results: OnceResults
    transitions: Transitions
    removals: Removals
    entries: Entries = field(default_factory=Entries)

    @classmethod
    def find(
        cls,
        session: Session,
        batch: WriteBatch,
        groups: Sequence[WriteGroup],
        targets: Targets,
        late: set[RunId],
    ) -> "Waits":
        """Read what the groups may concern. The runs were locked, except the parents of those that
        end: only now it is known that these have any. They are added to `late`.
        """
        for group in groups:
            check_group(group)
        found = batch.existing
        writes = [write for group in groups for write in group.writes]
        parents = find_parents(session, _ending(writes, batch))
        linked = [link for of_child in parents.values() for link in of_child]
        unlocked = {link.parent for link in linked} - found.runs.keys()
        existing.lock_late(session, found, unlocked, late)
        inboxes = Inboxes(
            find_known(session, {message.key for group in groups for message in group.messages}),
            _find_waiting(session, groups, batch, targets),
        )
        kept = {result.run_id for group in groups for result in group.results}
        families = Families(parents, find_gathered(session, _gathering(writes, linked)))
        results = OnceResults(
            once_results.read(
                session,
                [
                    run_id
                    for run_id in kept
                    if (run := found.runs.get(run_id)) and run.marks & HAS_RESULTS
                ],
            )
        )
        messaging = Messaging(batch, inboxes, found.newest, targets.expired)
        transitions = Transitions(batch, messaging, families, results)
        return cls(messaging, families, results, transitions, Removals(batch))

    def stage(self, groups: Sequence[WriteGroup]) -> list[Committed]:
        decided = [self._stage(group) for group in groups]
        for group in groups:
            for removal in group.removals:
                self.removals.stage(removal)
        return decided

    def _stage(self, group: WriteGroup) -> Committed:
        """Stage a group: its writes first, then what else it has."""
        results = [
            self.transitions.stage(write, timeouts_apart=group.timeouts_apart)
            for write in group.writes
        ]
        posts = [self.messaging.post(message) for message in group.messages]
        for failure in group.failures:
            self.messaging.fail(failure)
        once = [self.transitions.once(result) for result in group.results]
        for workflow in group.expires:
            self.messaging.expire(workflow)
        for entry in group.set_aside:
            self.entries.put(entry)
        for key in group.taken_back:
            self.entries.remove(key)
        return Committed(tuple(results), tuple(posts), tuple(once))

    def apply(self, session: Session) -> None:
        self.messaging.inboxes.apply(session)
        self.families.apply(session)
        self.results.apply(session)
        self.entries.apply(session)


def _ending(writes: Sequence[Write], batch: WriteBatch) -> set[RunId]:
    """Return the runs with parents that the writes end."""
    runs = batch.existing.runs
    return {
        write.run_id
        for write in writes
        if write.run_state.finished
        and (run := runs.get(write.run_id)) is not None
        and run.marks & HAS_PARENTS
    }


def _find_waiting(
    session: Session, groups: Sequence[WriteGroup], batch: WriteBatch, targets: Targets
) -> list[Message]:
    """Return the messages of runs that are written, or whose messages fail or expire.

    Of a long inbox that the writes leave as it is, only those are read that are taken, fail or
    expire, with the first others, where one of these will wake the run: all others stay as they
    are. If they only expire, nothing needs to wake it.
    """
    runs = batch.existing.runs
    writes: dict[RunId, list[Write]] = {}
    named: dict[RunId, set[MessageKey]] = {}  # those that are taken, fail or expire
    for group in groups:
        for write in group.writes:
            writes.setdefault(write.run_id, []).append(write)
            named.setdefault(write.run_id, set()).update(write.takes)
        for failure in group.failures:
            named.setdefault(failure.run_id, set()).add(failure.key)
    waking = set(named)
    for key, run_id in targets.expired.items():
        named.setdefault(run_id, set()).add(key)
    whole: list[RunId] = []
    found: list[Message] = []
    for run_id, keys in sorted(named.items()):
        run = runs.get(run_id)
        if run is None or not (count := count_messages(run.marks)):
            continue
        if count > LONG and _leaves_as_it_is(writes.get(run_id, ()), run):
            few = find_first(session, run_id, keys, LONG if run_id in waking else 0)
            if run_id not in waking or _is_enough(few, run, keys):
                found += few
                continue
        whole.append(run_id)
    return found + find_waiting(session, whole)


def _leaves_as_it_is(writes: Sequence[Write], run: Found) -> bool:
    place = (run.status, run.visit, run.run_state)
    return all(
        (write.status, write.visit, write.run_state) == place
        and not (write.gatherings or write.children)
        for write in writes
    )


def _is_enough(first: Sequence[Message], run: Found, named: Set[MessageKey]) -> bool:
    """Return whether one of the first messages wakes the run at once, without those named."""
    return any(
        message.key not in named and message.due_at is None and run.status in message.statuses
        for message in first
    )


def _gathering(writes: Sequence[Write], linked: Sequence[Linked]) -> list[RunId]:
    """Return the runs whose counts of children are read."""
    return sorted({*_told(linked), *(write.run_id for write in writes if _counts(write))})


def _told(linked: Sequence[Linked]) -> Iterator[RunId]:
    return (link.parent for link in linked if link.link.gathered_at)


def _counts(write: Write) -> bool:
    return bool(
        write.gatherings
        or any(child.link.gathered_at for child in write.children)
        or any(key.kind is MessageKind.CHILDREN for key in write.takes)
    )
