"""Messages to runs: how they are posted and settled, and how they wake a run."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from workflow_ray.records import (
    NO_VERSION,
    Inbox,
    Message,
    MessageFailure,
    MessageKey,
    MessageOutcome,
    NewMessage,
    NoRun,
    NotAwaited,
    Posted,
    PostResult,
    RunId,
    RunState,
    Write,
    sort_inbox,
    status_topic,
)
from workflow_ray_adapters.sql.found import Found
from workflow_ray_adapters.sql.inboxes import Inboxes
from workflow_ray_adapters.sql.marks import MESSAGE, count_messages
from workflow_ray_adapters.sql.rows import RUN_STATES, micros, moment
from workflow_ray_adapters.sql.write_batch import WriteBatch


class Messaging:
    """Changes inboxes, and with them what their runs await.

    Args:
        batch: The staged writes.
        inboxes: The messages.
        newest: The newest run of each workflow and foreign id that a message is addressed to.
        expired: Messages that had expired when the transaction looked for them.
    """

    def __init__(
        self,
        batch: WriteBatch,
        inboxes: Inboxes,
        newest: Mapping[tuple[str, str], RunId],
        expired: Mapping[MessageKey, RunId],
    ) -> None:
        self.inboxes = inboxes
        self.now: datetime = moment(batch.now)
        self._batch = batch
        self._runs = batch.existing.runs
        self._newest = newest
        self._expired = expired

    # --- posting --------------------------------------------------------------------------------

    def post(self, new: NewMessage) -> PostResult:
        if known := self.inboxes.known(new.key):
            return Posted(new.key, *known, is_new=False)
        run = self._addressed(new)
        if run is None:
            return NoRun(new.key)
        message = new.posted(run.run_id, self.now)
        inbox = self._sort([message], run)
        if inbox.settled:
            run_state = RUN_STATES[run.run_state]
            return NotAwaited(new.key, run.run_id, run.status, run_state, run.version)
        if inbox.kept and new.keep is not None:
            message = replace(message, expires_at=self.now + timedelta(seconds=new.keep))
        self._add(message)
        self.wake(run.run_id, inbox.accepted)
        return Posted(new.key, run.run_id, message.digest)

    def add(self, new: NewMessage, run_id: RunId) -> Message:
        """Add a message that the status of its run accepts, without waking the run."""
        message = new.posted(run_id, self.now)
        self._add(message)
        return message

    def _addressed(self, new: NewMessage) -> Found | None:
        workflow, run_id = new.key.workflow, new.run_id
        if new.foreign_id is not None:
            key = (workflow, new.foreign_id)
            run_id = self._batch.existing.unfinished.get(key) or self._newest_of(key)
        run = None if run_id is None else self._runs.get(run_id)
        return run if run and run.workflow == workflow else None

    def _newest_of(self, key: tuple[str, str]) -> RunId | None:
        """Return the newest run of a foreign id, those of this transaction included."""
        found = self._newest.get(key)
        ids = [found] if found else []
        ids += [
            run_id
            for run_id, row in self._batch.inserts.items()
            if (row["workflow"], row["foreign_id"]) == key
        ]
        return max(ids, default=None)

    def _add(self, message: Message) -> None:
        self.inboxes.add(message)
        run = self._runs[message.run_id]
        self._batch.mark(run.run_id, run.marks + MESSAGE)

    def _sort(self, messages: Iterable[Message], run: Found) -> Inbox:
        return sort_inbox(
            messages,
            status=run.status,
            visit=run.visit,
            run_state=RunState(run.run_state),
            now=self.now,
        )

    # --- settling -------------------------------------------------------------------------------

    def take(self, write: Write) -> list[Message]:
        """Settle the messages that the write takes, and return them."""
        taken: list[Message] = []
        for key in write.takes:
            if message := self.inboxes.waits(key, write.run_id, self.now):
                self.settle([(message, MessageOutcome.TAKEN)])
                taken.append(message)
        return taken

    def settle(self, messages: Iterable[tuple[Message, MessageOutcome]]) -> None:
        """Settle messages that wait, at the versions of their runs."""
        for message, outcome in messages:
            run = self._runs[message.run_id]
            self.inboxes.settle(message, outcome, run.version, self.now)
            self._batch.mark(run.run_id, run.marks - MESSAGE)

    def sort(self, run_id: RunId) -> list[Message]:
        """Sort the inbox of a run that a write has changed, and return what is accepted."""
        run = self._runs[run_id]
        if not count_messages(run.marks):
            return []
        inbox = self._sort(self.inboxes.waiting(run_id), run)
        self.settle(inbox.settled)
        return [self._accept(message) for message in inbox.accepted]

    def _accept(self, message: Message) -> Message:
        """Let a message wait without limit, because its run has reached a status that accepts
        it.
        """
        if message.expires_at is None:
            return message
        accepted = replace(message, expires_at=None)
        self.inboxes.change(accepted)
        return accepted

    def fail(self, failure: MessageFailure) -> None:
        message = self.inboxes.waits(failure.key, failure.run_id, self.now)
        if message is None:
            return
        failed = replace(message, attempt=failure.attempt, reason=failure.reason, due_at=None)
        run = self._runs[message.run_id]
        if failure.retry_in is None:
            self.settle([(failed, MessageOutcome.FAILED)])
            self._await_the_rest(run.run_id)
            return
        due_at = self.now + timedelta(seconds=failure.retry_in)
        self.inboxes.change(replace(failed, due_at=due_at))
        if not run.is_at_rest and self._sort([message], run).accepted:
            self._batch.ask(run, micros(due_at))

    def expire(self, workflow: str) -> None:
        """Settle the messages of the workflow that have expired."""
        for key, run_id in self._expired.items():
            if key.workflow == workflow:
                message = self.inboxes.get(key, run_id)
                if message and message.has_expired(self.now):
                    self.settle([(message, MessageOutcome.EXPIRED)])

    # --- what the run awaits --------------------------------------------------------------------

    def wake(self, run_id: RunId, accepted: Sequence[Message], by: Write | None = None) -> None:
        """Let the run await an event if it has accepted messages, and put one into the outbox.

        Args:
            run_id: The run.
            accepted: The messages that its status accepts.
            by: The write that has just changed the run. Its own event may wake the run already.
        """
        run = self._runs[run_id]
        if not accepted or run.is_at_rest:
            return
        self._batch.await_event(run)
        if by is None or not by.wakes(status_topic(run.workflow, run.status)):
            due_at = min(message.due_at or self.now for message in accepted)
            self._batch.ask(run, micros(due_at))

    def _await_the_rest(self, run_id: RunId) -> None:
        """Let the run await what it awaits without the message that has failed for good."""
        run = self._runs[run_id]
        accepted = self._sort(self.inboxes.waiting(run_id), run).accepted
        if accepted:
            self.wake(run_id, accepted)
        elif run.awaiting is not None and (run.awaited == NO_VERSION or run.parked):
            self._batch.await_message(run)
