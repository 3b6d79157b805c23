"""Transitions: what a write changes beside its own record."""

from datetime import datetime

from msgspec.structs import replace

from workflow_ray.records import (
    NO_VERSION,
    ChildEnd,
    ChildRefused,
    Gathering,
    Kept,
    Linked,
    Message,
    MessageGone,
    MessageKind,
    MessageOutcome,
    NewChild,
    NewMessage,
    OnceAnswer,
    OnceResult,
    Record,
    RunId,
    Stored,
    VisitOver,
    Write,
    WriteResult,
    new_child_message,
    new_children_message,
    refuse_child,
)
from workflow_ray_adapters.memory.families import Families
from workflow_ray_adapters.memory.messaging import Messaging
from workflow_ray_adapters.memory.once_results import OnceResults
from workflow_ray_adapters.memory.outbox import Outbox
from workflow_ray_adapters.memory.runs import Runs


class Transitions:
    """Makes writes, with the messages, children and results that they concern."""

    def __init__(
        self, runs: Runs, outbox: Outbox, messaging: Messaging, families: Families
    ) -> None:
        self._runs = runs
        self._outbox = outbox
        self._messaging = messaging
        self._families = families
        self.results = OnceResults()

    def make(self, write: Write, now: datetime) -> tuple[WriteResult, list[Write]]:
        """Make a write unless something prevents it.

        Returns:
            Its result, and the writes that were made: itself and those of its new children.
        """
        if prevented := self._prevented(write, now):
            return prevented, []
        before = self._runs.get(write.run_id)
        self._put(write, now)
        if write.erases:
            self._erase(write)
        self._take(write, now)
        started = [child.write for child in write.children if self._start(write, child, now)]
        made = [write, *started]
        for each in made:
            self._settle(each, now)
        ended = started if before and before.run_state.finished else made
        for each in ended:
            if each.run_state.finished:
                self._end(each, now)
        return Stored(write.run_id, write.version), made

    def once(self, result: OnceResult) -> OnceAnswer:
        record = self._runs.get(result.run_id)
        if record is None:
            return VisitOver(result.run_id, NO_VERSION)
        if record.visit != result.visit or record.run_state.finished:
            return VisitOver(result.run_id, record.visit)
        kept = self.results.keep(result)
        self._runs.amend(replace(record, has_results=True))
        return Kept(kept.run_id, kept.name, kept.result)

    # --- what prevents a write ------------------------------------------------------------------

    def _prevented(self, write: Write, now: datetime) -> WriteResult | None:
        """Return the answer to a write that must not be made."""
        if answer := self._runs.answer(write):
            return answer
        for key in write.takes:
            if self._messaging.inboxes.waits(key, write.run_id, now) is None:
                return MessageGone(write.run_id, key)
        return self._refused(write)

    def _refused(self, write: Write) -> ChildRefused | None:
        if not write.children:
            return None
        run = write.new or self._runs.known(write.run_id)
        own = run.workflow, run.foreign_id
        is_active = write.creates or self._runs.unfinished(*own) == write.run_id
        return refuse_child(
            write, own if is_active else None, lambda key: self._runs.unfinished(*key)
        )

    # --- the run ----------------------------------------------------------------------------------

    def _put(self, write: Write, now: datetime) -> None:
        before = self._runs.get(write.run_id)
        self._runs.make(write, now)
        self._outbox.add_all(write, now)
        leaves = before and write.visit != before.visit
        if before and before.has_results and (leaves or write.run_state.finished):
            self.results.remove(write.run_id)
            self._runs.amend(replace(self._runs.known(write.run_id), has_results=False))

    def _erase(self, write: Write) -> None:
        self._messaging.inboxes.erase(write.run_id)
        self.results.remove(write.run_id)
        self._runs.amend(replace(self._runs.known(write.run_id), has_results=False))

    def _take(self, write: Write, now: datetime) -> None:
        for message in self._messaging.take(write, now):
            if message.key.kind is MessageKind.CHILDREN:
                self._families.forget(write.run_id, message.name)

    def _settle(self, write: Write, now: datetime) -> None:
        """Sort the inbox for the status that the run is at now, and let it wake the run."""
        accepted = list(self._messaging.sort(write.run_id, now))
        for gathering in write.gatherings:
            accepted += self._gather(write, gathering, now)
        self._messaging.wake(write.run_id, accepted, now, write)

    # --- its children -----------------------------------------------------------------------------

    def _start(self, write: Write, child: NewChild, now: datetime) -> bool:
        """Start a child, or join it. True: it was started."""
        new = child.write.new
        assert new, "check_group has refused it"
        joined = self._runs.unfinished(new.workflow, new.foreign_id)
        if joined is None:
            self._put(child.write, now)
        run_id = joined or child.write.run_id
        self._link(Linked(write.run_id, run_id, write.version, child.link), new.workflow, now)
        return joined is None

    def _link(self, linked: Linked, workflow: str, now: datetime) -> None:
        """Link a child of the workflow, unless the same write has done so already."""
        if not self._families.link(linked, workflow):
            return
        self._runs.amend(replace(self._runs.known(linked.child), has_parents=True))
        if linked.link.cascades:
            self._runs.amend(replace(self._runs.known(linked.parent), cascades=True))
        if linked.link.gathered_at:
            waiting = self._gathering_messages(linked.parent, workflow)
            self._messaging.settle([(item, MessageOutcome.PASSED) for item in waiting], now)

    def _gather(self, write: Write, gathering: Gathering, now: datetime) -> list[Message]:
        """Post the message that the last child has ended, if none is open and none waits."""
        run_id, workflow = write.run_id, gathering.workflow
        open_children = self._families.gathered(run_id, workflow).unended
        if open_children or self._gathering_messages(run_id, workflow):
            return []
        new = self._last_end(self._runs.known(run_id), gathering, write.by)
        return [self._messaging.add(new, run_id, now)]

    def _gathering_messages(self, run_id: RunId, workflow: str) -> list[Message]:
        return [
            message
            for message in self._messaging.inboxes.waiting(run_id)
            if message.key.kind is MessageKind.CHILDREN and message.name == workflow
        ]

    # --- its parents ------------------------------------------------------------------------------

    def _end(self, write: Write, now: datetime) -> None:
        """Tell the parents of a run that has ended with the write."""
        child = self._runs.known(write.run_id)
        for linked in self._families.parents(write.run_id):
            parent = self._runs.known(linked.parent)
            if linked.link.statuses:
                end = ChildEnd(run_id=child.run_id, status=child.status, run_state=child.run_state)
                new = new_child_message(
                    linked, end, workflow=parent.workflow, name=child.workflow, by=write.by
                )
                self._messaging.post(new, now)
            if not linked.link.gathered_at:
                continue
            is_last = self._families.end(linked, child.workflow, child.run_state)
            if is_last and parent.status in linked.link.gathered_at:
                asked = Gathering(workflow=child.workflow, statuses=linked.link.gathered_at)
                self._messaging.post(self._last_end(parent, asked, write.by), now)

    def _last_end(self, parent: Record, asked: Gathering, by: str) -> NewMessage:
        return new_children_message(
            parent.run_id,
            parent.version,
            self._families.gathered(parent.run_id, asked.workflow).told(),
            workflow=parent.workflow,
            asked=asked,
            by=by,
        )
