"""What a write changes beside its own record: messages, children, and results of `once`."""

from workflow_ray.records import (
    NO_VERSION,
    ChildEnd,
    Gathering,
    Kept,
    Linked,
    Message,
    MessageGone,
    MessageKind,
    MessageOutcome,
    NewChild,
    NewMessage,
    NewRun,
    OnceAnswer,
    OnceResult,
    RunId,
    Version,
    VisitOver,
    Write,
    WriteResult,
    new_child_message,
    new_children_message,
    refuse_child,
)
from workflow_ray_adapters.sql.families import Families
from workflow_ray_adapters.sql.found import Found
from workflow_ray_adapters.sql.marks import CASCADES, HAS_PARENTS, HAS_RESULTS
from workflow_ray_adapters.sql.messaging import Messaging
from workflow_ray_adapters.sql.once_results import OnceResults
from workflow_ray_adapters.sql.rows import RUN_STATES
from workflow_ray_adapters.sql.write_batch import WriteBatch


class Transitions:
    """Stages writes, with the messages, children and results that they concern."""

    def __init__(
        self, batch: WriteBatch, messaging: Messaging, families: Families, results: OnceResults
    ) -> None:
        self._batch = batch
        self._runs = batch.existing.runs
        self._unfinished = batch.existing.unfinished
        self._messaging = messaging
        self._families = families
        self._results = results
        # the versions of parents that start gathered children, by the workflow of these
        self._starts: set[tuple[RunId, Version, str]] = set()

    def stage(self, write: Write, *, timeouts_apart: bool) -> WriteResult:
        """Decide a write and return its answer. If that is Stored, it is staged with all that it
        changes. A repeat gets a Conflict here.
        """
        before = self._runs.get(write.run_id)
        if prevented := self._prevented(write, before):
            return prevented
        stored = self._put(write, apart=timeouts_apart)
        self._take(write)
        started = [
            child.write
            for child in write.children
            if self._start(write, child, apart=timeouts_apart)
        ]
        for each in (write, *started):
            self._settle(each)
        if before is None or not before.is_finished:
            self._end(write)
        for each in started:
            self._end(each)
        return stored

    def once(self, result: OnceResult) -> OnceAnswer:
        run = self._runs.get(result.run_id)
        if run is None:
            return VisitOver(result.run_id, NO_VERSION)
        if run.visit != result.visit or run.is_finished:
            return VisitOver(result.run_id, run.visit)
        kept = self._results.keep(result)
        if not run.marks & HAS_RESULTS:
            self._batch.mark(run.run_id, run.marks | HAS_RESULTS)
        return Kept(kept.run_id, kept.name, kept.result)

    # --- what prevents a write ------------------------------------------------------------------

    def _prevented(self, write: Write, before: Found | None) -> WriteResult | None:
        if refusal := self._batch.refusal(write, before):
            return refusal
        for key in write.takes:
            if self._messaging.inboxes.waits(key, write.run_id, self._messaging.now) is None:
                return MessageGone(write.run_id, key)
        if not write.children:
            return None
        return refuse_child(write, self._own_key(write), self._unfinished.get)

    def _own_key(self, write: Write) -> tuple[str, str] | None:
        """Return workflow and foreign id of the run if it is unfinished until now, or new."""
        return self._batch.holder_key(write.run_id) if write.new is None else _key_of(write)

    # --- the run ----------------------------------------------------------------------------------

    def _put(self, write: Write, *, apart: bool) -> WriteResult:
        before = self._runs.get(write.run_id)
        stored = self._batch.put(write, before, apart)
        if before and before.marks & HAS_RESULTS:
            leaves = write.visit != before.visit or write.run_state.finished or write.erases
            if leaves:
                self._results.remove(write.run_id)
                self._batch.mark(write.run_id, before.marks & ~HAS_RESULTS)
        return stored

    def _take(self, write: Write) -> None:
        for message in self._messaging.take(write):
            if message.key.kind is MessageKind.CHILDREN:
                self._families.forget(write.run_id, message.name)

    def _settle(self, write: Write) -> None:
        """Sort the inbox for the status that the run is at now, and let it wake the run."""
        accepted = self._messaging.sort(write.run_id)
        for gathering in write.gatherings:
            accepted += self._gather(write, gathering)
        if accepted:
            self._messaging.wake(write.run_id, accepted, write)

    # --- its children -----------------------------------------------------------------------------

    def _start(self, write: Write, child: NewChild, *, apart: bool) -> bool:
        """Start a child, or join it. True: it was started."""
        workflow, foreign_id = _key_of(child.write)
        joined = self._unfinished.get((workflow, foreign_id))
        if joined is None:
            self._put(child.write, apart=apart)
        run_id = joined or child.write.run_id
        self._link(Linked(write.run_id, run_id, write.version, child.link), workflow)
        return joined is None

    def _link(self, linked: Linked, workflow: str) -> None:
        """Link a child of the workflow, unless the same write has done so already."""
        if not self._families.link(linked, workflow):
            return
        self._mark(linked.child, HAS_PARENTS)
        if linked.link.cascades:
            self._mark(linked.parent, CASCADES)
        start = (linked.parent, linked.since, workflow)
        if linked.link.gathered_at and start not in self._starts:
            self._starts.add(start)
            for message in self._gathering_messages(linked.parent, workflow):
                self._messaging.settle([(message, MessageOutcome.PASSED)])

    def _mark(self, run_id: RunId, flag: int) -> None:
        marks = self._runs[run_id].marks
        if not marks & flag:
            self._batch.mark(run_id, marks | flag)

    def _gather(self, write: Write, gathering: Gathering) -> list[Message]:
        """Post the message that the last child has ended, if none is open and none waits."""
        run_id, workflow = write.run_id, gathering.workflow
        is_open = self._families.count(run_id, workflow).unended
        if is_open or self._gathering_messages(run_id, workflow):
            return []
        new = self._last_end(self._runs[run_id], gathering, write.by)
        return [self._messaging.add(new, run_id)]

    def _gathering_messages(self, run_id: RunId, workflow: str) -> list[Message]:
        return [
            message
            for message in self._messaging.inboxes.waiting(run_id)
            if message.key.kind is MessageKind.CHILDREN and message.name == workflow
        ]

    # --- its parents ------------------------------------------------------------------------------

    def _end(self, write: Write) -> None:
        """Tell the parents of a run that has ended with the write."""
        if not write.run_state.finished:
            return
        child = self._runs[write.run_id]
        if not child.marks & HAS_PARENTS:
            return
        for linked in self._families.parents.get(write.run_id, ()):
            parent = self._runs.get(linked.parent)
            if parent is None:
                continue
            if linked.link.statuses:
                end = ChildEnd(
                    run_id=child.run_id,
                    status=child.status,
                    run_state=RUN_STATES[child.run_state],
                )
                new = new_child_message(
                    linked, end, workflow=parent.workflow, name=child.workflow, by=write.by
                )
                self._messaging.post(new)
            if not linked.link.gathered_at:
                continue
            is_last = self._families.end(linked, child.workflow, child.run_state)
            if is_last and parent.status in linked.link.gathered_at:
                asked = Gathering(workflow=child.workflow, statuses=linked.link.gathered_at)
                self._messaging.post(self._last_end(parent, asked, write.by))

    def _last_end(self, parent: Found, asked: Gathering, by: str) -> NewMessage:
        return new_children_message(
            parent.run_id,
            parent.version,
            self._families.count(parent.run_id, asked.workflow).told(),
            workflow=parent.workflow,
            asked=asked,
            by=by,
        )


def _key_of(write: Write) -> tuple[str, str]:
    """Return workflow and foreign id of a run's first write."""
    new = write.new
    assert isinstance(new, NewRun), "check_write has refused it"
    return new.workflow, new.foreign_id
