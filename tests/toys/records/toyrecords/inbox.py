"""Messages to runs, and the results of `once`."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from toyrecords.state import State
from workflow_ray import records
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Event,
    Kept,
    Message,
    MessageFailure,
    MessageKey,
    MessageOutcome,
    NewMessage,
    NoRun,
    NotAwaited,
    OnceAnswer,
    OnceResult,
    OutgoingEvent,
    Posted,
    PostResult,
    Record,
    RunId,
    VisitOver,
    sort_inbox,
    status_topic,
)

MAX_EXPIRED = 500


class Inbox:
    """Changes messages, at one moment."""

    def __init__(self, state: State, now: datetime) -> None:
        self._state = state
        self._now = now

    def post(self, new: NewMessage) -> PostResult:
        if known := self._state.message(new.key):
            return Posted(new.key, known.run_id, known.digest, is_new=False)
        record = self._addressed(new)
        if record is None:
            return NoRun(new.key)
        message = new.posted(record.run_id, self._now)
        inbox = self._sorted(record, [message])
        if inbox.settled:
            where = record.status, record.run_state, record.version
            return NotAwaited(new.key, record.run_id, *where)
        if inbox.kept and new.keep is not None:
            message = replace(message, expires_at=self._now + timedelta(seconds=new.keep))
        self._add(message)
        self.wake(record.run_id, inbox.accepted)
        return Posted(new.key, record.run_id, new.digest)

    def add(self, new: NewMessage, run_id: RunId) -> Message:
        """Add a message that the status of its run accepts."""
        message = new.posted(run_id, self._now)
        self._add(message)
        return message

    def waiting(self, run_id: RunId) -> list[Message]:
        return [
            message
            for message in self._state.messages
            if message.run_id == run_id and message.outcome is None
        ]

    def waits(self, key: MessageKey, run_id: RunId) -> Message | None:
        """Return the message if it waits for the run and has not expired."""
        message = self._state.message(key)
        if message is None or message.run_id != run_id or message.outcome is not None:
            return None
        return None if message.has_expired(self._now) else message

    def settle(self, messages: Iterable[Message], outcome: MessageOutcome) -> None:
        for message in messages:
            record = self._state.records[message.run_id]
            self._state.change(message.settled(outcome, record.version, self._now))
            self._state.amend(message.run_id, messages=record.messages - 1)

    def sort(self, run_id: RunId) -> list[Message]:
        """Sort the messages of a run that a write has changed, and return the accepted ones."""
        record = self._state.records[run_id]
        inbox = self._sorted(record, self.waiting(run_id))
        for message, outcome in inbox.settled:
            self.settle([message], outcome)
        accepted = [replace(message, expires_at=None) for message in inbox.accepted]
        for message in accepted:
            self._state.change(message)
        return accepted

    def wake(
        self, run_id: RunId, accepted: Sequence[Message], events: Sequence[OutgoingEvent] = ()
    ) -> None:
        """Let the run await an event, if it has accepted messages."""
        record = self._state.records[run_id]
        if not accepted or record.run_state.at_rest:
            return
        self._state.amend(run_id, awaits=Awaits.EVENT)
        topic = status_topic(record.workflow, record.status)
        if not any(event.topic == topic and event.delay <= 0 for event in events):
            self._send(record, min(message.due_at or self._now for message in accepted))

    def fail(self, failure: MessageFailure) -> None:
        message = self.waits(failure.key, failure.run_id)
        if message is None:
            return
        failed = replace(message, attempt=failure.attempt, reason=failure.reason, due_at=None)
        record = self._state.records[message.run_id]
        if failure.retry_in is None:
            self.settle([failed], MessageOutcome.FAILED)
            accepted = self._sorted(record, self.waiting(record.run_id)).accepted
            self.wake(record.run_id, accepted)
            works = record.awaited > NO_VERSION and not record.parked
            if not accepted and record.awaits is Awaits.EVENT and not works:
                awaits = Awaits.PARKED if record.parked else Awaits.MESSAGE
                self._state.amend(record.run_id, awaits=awaits)
            return
        due_at = self._now + timedelta(seconds=failure.retry_in)
        self._state.change(replace(failed, due_at=due_at))
        if self._sorted(record, [failed]).accepted and not record.run_state.at_rest:
            self._send(record, due_at)

    def expire(self, workflow: str) -> None:
        expired = [
            message
            for message in self._state.messages
            if message.key.workflow == workflow and message.has_expired(self._now)
        ]
        self.settle(expired[:MAX_EXPIRED], MessageOutcome.EXPIRED)

    def keep_result(self, result: OnceResult) -> OnceAnswer:
        record = self._state.records.get(result.run_id)
        if record is None:
            return VisitOver(result.run_id, NO_VERSION)
        if record.visit != result.visit or record.run_state.finished:
            return VisitOver(result.run_id, record.visit)
        results = self._state.results.setdefault(result.run_id, {})
        kept = results.setdefault(result.name, result)
        self._state.amend(result.run_id, has_results=True)
        return Kept(kept.run_id, kept.name, kept.result)

    def _addressed(self, new: NewMessage) -> Record | None:
        if new.run_id is not None:
            record = self._state.records.get(new.run_id)
            return record if record and record.workflow == new.key.workflow else None
        runs = [
            record
            for record in self._state.records.values()
            if (record.workflow, record.foreign_id) == (new.key.workflow, new.foreign_id)
        ]
        return max(runs, key=lambda run: (not run.run_state.finished, run.run_id), default=None)

    def _add(self, message: Message) -> None:
        self._state.messages.append(message)
        record = self._state.records[message.run_id]
        self._state.amend(message.run_id, messages=record.messages + 1)

    def _sorted(self, record: Record, messages: Iterable[Message]) -> records.Inbox:
        return sort_inbox(
            messages,
            status=record.status,
            visit=record.visit,
            run_state=record.run_state,
            now=self._now,
        )

    def _send(self, record: Record, due_at: datetime) -> None:
        event = Event(
            run_id=record.run_id,
            topic=status_topic(record.workflow, record.status),
            partition=record.partition,
            version=NO_VERSION,
            status=record.status,
        )
        self._state.put(event, due_at if due_at > self._now else None)
