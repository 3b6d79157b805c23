"""Messages: all of them by key, and those that wait by run."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from workflow_ray.records import (
    BATCH_DATA,
    Inbox,
    Message,
    MessageKey,
    MessageOutcome,
    MessageQuery,
    Record,
    RunId,
    Version,
    sort_inbox,
)
from workflow_ray_adapters.memory.runs import Runs


class Inboxes:
    """Messages in the order in which they were posted."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._messages: dict[MessageKey, Message] = {}
        self._numbers: dict[MessageKey, int] = {}  # in the order in which they were posted
        self._posted = 0
        self._of_run: dict[RunId, dict[MessageKey, None]] = {}
        self._waiting: dict[RunId, dict[MessageKey, None]] = {}
        self._failed: dict[RunId, list[MessageKey]] = {}
        # (when it expires, its key) by workflow, of messages that wait
        self._expiring: dict[str, dict[MessageKey, datetime]] = {}

    # --- writing --------------------------------------------------------------------------------

    def add(self, message: Message) -> None:
        """Add a message that waits."""
        self._posted += 1
        self._numbers[message.key] = self._posted
        self._of_run.setdefault(message.run_id, {})[message.key] = None
        self._waiting.setdefault(message.run_id, {})[message.key] = None
        self._put(message)

    def change(self, message: Message) -> None:
        """Replace a message that waits by one that waits."""
        self._put(message)

    def accept(self, message: Message) -> Message:
        """Let a message wait without limit, because a status of its run accepts it."""
        accepted = replace(message, expires_at=None)
        self._put(accepted)
        return accepted

    def settle(
        self, message: Message, outcome: MessageOutcome, version: Version, now: datetime
    ) -> None:
        """Settle a message that waits."""
        waiting = self._waiting[message.run_id]
        del waiting[message.key]
        if not waiting:
            del self._waiting[message.run_id]
        if outcome is MessageOutcome.FAILED:
            self._failed.setdefault(message.run_id, []).append(message.key)
        self._put(message.settled(outcome, version, now))

    def erase(self, run_id: RunId) -> None:
        """Clear the payloads and errors of all messages of the run."""
        for key in self._of_run.get(run_id, ()):
            self._put(replace(self._messages[key], payload=b"", reason=None))

    def forget(self, run_ids: Iterable[RunId], limit: int) -> int:
        """Forget up to `limit` messages of runs that were removed, and return how many."""
        found = (key for run_id in run_ids for key in self._of_run.get(run_id, ()))
        keys = list(islice(found, limit))
        for key in keys:
            run_id = self._messages.pop(key).run_id
            del self._numbers[key], self._of_run[run_id][key]
            if not self._of_run[run_id]:
                del self._of_run[run_id]
                self._failed.pop(run_id, None)
        return len(keys)

    def has_some(self, run_id: RunId) -> bool:
        """Whether messages of the run are kept, settled or not."""
        return run_id in self._of_run

    def _put(self, message: Message) -> None:
        self._messages[message.key] = message
        expiring = self._expiring.setdefault(message.key.workflow, {})
        if message.outcome is None and message.expires_at is not None:
            expiring[message.key] = message.expires_at
        else:
            expiring.pop(message.key, None)

    # --- reading --------------------------------------------------------------------------------

    def get(self, key: MessageKey) -> Message | None:
        return self._messages.get(key)

    def waits(self, key: MessageKey, run_id: RunId, now: datetime) -> Message | None:
        """Return the message if it waits in the inbox of the run and has not expired."""
        message = self._messages.get(key)
        if message is None or message.run_id != run_id or message.outcome is not None:
            return None
        return None if message.has_expired(now) else message

    def waiting(self, run_id: RunId) -> list[Message]:
        """Return those that wait, also if they have expired."""
        return [self._messages[key] for key in self._waiting.get(run_id, ())]

    def sorted(self, record: Record, now: datetime) -> Inbox:
        """Say what the status of the run makes of its messages."""
        return sort_inbox(
            self.waiting(record.run_id),
            status=record.status,
            visit=record.visit,
            run_state=record.run_state,
            now=now,
        )

    def expired(self, workflow: str, now: datetime, limit: int) -> list[Message]:
        """Return messages that have expired and are not settled yet."""
        expiring = self._expiring.get(workflow, {})
        keys = islice((key for key, at in expiring.items() if at <= now), limit)
        return [self._messages[key] for key in keys]

    def read(self, query: MessageQuery, now: datetime, *, settled: bool) -> list[Message]:
        """Return the messages, up to the limit or to the one whose payload exceeds BATCH_DATA."""
        page: list[Message] = []
        size = 0
        for message in self._found(query, now):
            if settled and message.outcome is None:
                continue
            page.append(message if query.payloads else replace(message, payload=b""))
            size += len(page[-1].payload)
            if size > BATCH_DATA or len(page) == query.limit:
                break
        return page

    def next_expiry(self, query: MessageQuery) -> datetime | None:
        """Return when the next message that is asked for by its key expires."""
        messages = (self._messages.get(key) for key in query.keys)
        return min(
            (
                message.expires_at
                for message in messages
                if message and message.outcome is None and message.expires_at
            ),
            default=None,
        )

    def _found(self, query: MessageQuery, now: datetime) -> Iterator[Message]:
        for key in sorted(self._keys(query), key=self._numbers.__getitem__):
            message = self._as_of(self._messages[key], now)
            if query.due and message.due_at is not None and message.due_at > now:
                continue
            if query.keys or query.failed or message.outcome is None:
                yield message

    def _keys(self, query: MessageQuery) -> Iterator[MessageKey]:
        yield from {key for key in query.keys if key in self._messages}
        for run_id in query.run_ids:
            yield from (self._failed if query.failed else self._waiting).get(run_id, ())

    def _as_of(self, message: Message, now: datetime) -> Message:
        """Return the message as it is settled by now."""
        if not message.has_expired(now):
            return message
        record = self._runs.get(message.run_id)
        return message.settled(MessageOutcome.EXPIRED, record.version if record else None, now)
