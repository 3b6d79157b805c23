"""Messages to runs: how they are posted and settled, and how they wake a run."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Event,
    Message,
    MessageFailure,
    MessageKey,
    MessageOutcome,
    NewMessage,
    NoRun,
    NotAwaited,
    Posted,
    PostResult,
    Record,
    RunId,
    Write,
    sort_inbox,
    status_topic,
)
from workflow_ray_adapters.memory.inboxes import Inboxes
from workflow_ray_adapters.memory.notifications import Notifications
from workflow_ray_adapters.memory.outbox import Outbox
from workflow_ray_adapters.memory.runs import Runs

MAX_EXPIRED = 500
"""The most messages of a workflow that one group settles because they have expired."""


class Messaging:
    """Changes inboxes, and with them what their runs await."""

    def __init__(self, runs: Runs, outbox: Outbox) -> None:
        self._runs = runs
        self._outbox = outbox
        self.inboxes = Inboxes(runs)
        self.changes = Notifications[MessageKey | RunId]()

    def post(self, new: NewMessage, now: datetime) -> PostResult:
        if known := self.inboxes.get(new.key):
            return Posted(new.key, known.run_id, known.digest, is_new=False)
        record = self._addressed(new)
        if record is None:
            return NoRun(new.key)
        message = new.posted(record.run_id, now)
        inbox = sort_inbox(
            [message],
            status=record.status,
            visit=record.visit,
            run_state=record.run_state,
            now=now,
        )
        if inbox.settled:
            return NotAwaited(
                new.key, record.run_id, record.status, record.run_state, record.version
            )
        if inbox.kept and new.keep is not None:
            message = replace(message, expires_at=now + timedelta(seconds=new.keep))
        self._add(message)
        self.wake(record.run_id, inbox.accepted, now)
        return Posted(new.key, record.run_id, message.digest)

    def add(self, new: NewMessage, run_id: RunId, now: datetime) -> Message:
        """Add a message that the status of its run accepts, without waking the run."""
        message = new.posted(run_id, now)
        self._add(message)
        return message

    def take(self, write: Write, now: datetime) -> list[Message]:
        """Settle the messages that the write takes, and return them."""
        taken: list[Message] = []
        for key in write.takes:
            if message := self.inboxes.waits(key, write.run_id, now):
                self.settle([(message, MessageOutcome.TAKEN)], now)
                taken.append(message)
        return taken

    def settle(self, messages: Iterable[tuple[Message, MessageOutcome]], now: datetime) -> None:
        """Settle messages that wait, at the versions of their runs."""
        for message, outcome in messages:
            record = self._runs.known(message.run_id)
            self.inboxes.settle(message, outcome, record.version, now)
            self._runs.amend(replace(record, messages=record.messages - 1))
            self.changes.notify([message.key, message.run_id])

    def sort(self, run_id: RunId, now: datetime) -> tuple[Message, ...]:
        """Sort the inbox of a run that a write has changed, and return what is accepted."""
        record = self._runs.known(run_id)
        if not record.messages:
            return ()
        inbox = self.inboxes.sorted(record, now)
        self.settle(inbox.settled, now)
        return tuple(self.inboxes.accept(message) for message in inbox.accepted)

    def wake(
        self, run_id: RunId, accepted: Sequence[Message], now: datetime, by: Write | None = None
    ) -> None:
        """Let the run await an event if it has accepted messages, and put one into the outbox.

        Args:
            run_id: The run.
            accepted: The messages that its status accepts.
            now: The time.
            by: The write that has just changed the run. Its own event may wake the run already.
        """
        record = self._runs.known(run_id)
        if not accepted or record.run_state.at_rest:
            return
        if record.awaits is not Awaits.EVENT:
            self._runs.amend(replace(record, awaits=Awaits.EVENT))
        if by is None or not by.wakes(status_topic(record.workflow, record.status)):
            self._ask(record, min(message.due_at or now for message in accepted), now)

    def fail(self, failure: MessageFailure, now: datetime) -> None:
        message = self.inboxes.waits(failure.key, failure.run_id, now)
        if message is None:
            return
        failed = replace(message, attempt=failure.attempt, reason=failure.reason, due_at=None)
        record = self._runs.known(message.run_id)
        if failure.retry_in is None:
            self.settle([(failed, MessageOutcome.FAILED)], now)
            self._await_the_rest(message.run_id, now)
            return
        due_at = now + timedelta(seconds=failure.retry_in)
        self.inboxes.change(replace(failed, due_at=due_at))
        accepted = self.inboxes.sorted(record, now).accepted
        if not record.run_state.at_rest and any(item.key == message.key for item in accepted):
            self._ask(record, due_at, now)

    def expire(self, workflow: str, now: datetime) -> None:
        expired = self.inboxes.expired(workflow, now, MAX_EXPIRED)
        self.settle([(message, MessageOutcome.EXPIRED) for message in expired], now)

    def _addressed(self, new: NewMessage) -> Record | None:
        workflow, run_id = new.key.workflow, new.run_id
        if new.foreign_id is not None:
            run_id = self._runs.unfinished(workflow, new.foreign_id)
            if run_id is None:
                return self._runs.latest(workflow, new.foreign_id)
        record = None if run_id is None else self._runs.get(run_id)
        return record if record and record.workflow == workflow else None

    def _add(self, message: Message) -> None:
        self.inboxes.add(message)
        record = self._runs.known(message.run_id)
        self._runs.amend(replace(record, messages=record.messages + 1))
        self.changes.notify([message.key, message.run_id])

    def _await_the_rest(self, run_id: RunId, now: datetime) -> None:
        """Let the run await what it awaits without the message that has failed for good."""
        record = self._runs.known(run_id)
        accepted = self.inboxes.sorted(record, now).accepted
        if accepted:
            self.wake(run_id, accepted, now)
        elif record.awaits is Awaits.EVENT and (record.parked or record.awaited == NO_VERSION):
            awaits = Awaits.PARKED if record.parked else Awaits.MESSAGE
            self._runs.amend(replace(record, awaits=awaits))

    def _ask(self, record: Record, due_at: datetime, now: datetime) -> None:
        """Put an event into the outbox that says that the run has a message."""
        event = Event(
            run_id=record.run_id,
            topic=status_topic(record.workflow, record.status),
            partition=record.partition,
            version=NO_VERSION,
            status=record.status,
        )
        self._outbox.add(event, due_at if due_at > now else None)
