"""The messages that a transaction concerns, as its staged writes make them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ClauseElement, ColumnElement, bindparam, select

from workflow_ray.records import Message, MessageKey, MessageOutcome, RunId, Version
from workflow_ray_adapters.sql.dialect import Columns, Dialect
from workflow_ray_adapters.sql.message_rows import (
    ENVELOPE,
    KEY,
    WAITS,
    key_row,
    message_row,
    state_row,
    to_key,
    to_message,
)
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import messages

EXPIRED_AT_ONCE = 500
"""The most messages of a workflow that one transaction settles because they have expired."""


class Inboxes:
    """Messages that are posted, changed and settled.

    Args:
        known: The run and the digest of each message of the keys that are posted.
        waiting: The messages that wait for the runs that are written, in the order in which they
            were posted.
    """

    def __init__(
        self,
        known: dict[MessageKey, tuple[RunId, bytes | None]],
        waiting: Iterable[Message],
    ) -> None:
        self._known = known
        self._waiting: dict[RunId, dict[MessageKey, Message]] = {}
        for message in waiting:
            self._waiting.setdefault(message.run_id, {})[message.key] = message
        self._new: dict[MessageKey, Message] = {}
        self._changed: dict[MessageKey, Message] = {}

    def known(self, key: MessageKey) -> tuple[RunId, bytes | None] | None:
        """Return the run and the digest of a message that was posted."""
        return self._known.get(key)

    def waiting(self, run_id: RunId) -> list[Message]:
        """Return those that wait, also if they have expired."""
        return list(self._waiting.get(run_id, {}).values())

    def get(self, key: MessageKey, run_id: RunId) -> Message | None:
        """Return the message if it waits in the inbox of the run, also if it has expired."""
        return self._waiting.get(run_id, {}).get(key)

    def waits(self, key: MessageKey, run_id: RunId, now: datetime) -> Message | None:
        """Return the message if it waits in the inbox of the run and has not expired."""
        message = self.get(key, run_id)
        return None if message is None or message.has_expired(now) else message

    def add(self, message: Message) -> None:
        """Add a message that waits."""
        self._known[message.key] = (message.run_id, message.digest)
        self._waiting.setdefault(message.run_id, {})[message.key] = message
        self._new[message.key] = message

    def change(self, message: Message) -> None:
        """Replace a message that waits by one that waits."""
        self._waiting[message.run_id][message.key] = message
        self._put(message)

    def settle(
        self, message: Message, outcome: MessageOutcome, version: Version, now: datetime
    ) -> None:
        """Settle a message that waits."""
        del self._waiting[message.run_id][message.key]
        self._put(message.settled(outcome, version, now))

    def _put(self, message: Message) -> None:
        changed = self._new if message.key in self._new else self._changed
        changed[message.key] = message

    def apply(self, session: Session) -> None:
        """Write what has changed. The ids of new messages tell in which order they were posted."""
        session.run(_insert, [message_row(message) for message in self._new.values()])
        session.run(
            _change,
            [
                {f"of_{name}": value for name, value in key_row(message.key).items()}
                | state_row(message)
                for message in self._changed.values()
            ],
        )
        for message in (*self._new.values(), *self._changed.values()):
            session.notification.add_message(
                message.key, message.run_id, is_settled=message.outcome is not None
            )


GIVEN_KEY: Columns = {f"of_{column.name}": column for column in KEY}
STATE = ("expires_at", "attempt", "due_at", "reason", "outcome", "version", "settled_at")


def _insert(dialect: Dialect) -> ClauseElement:
    return dialect.insert(
        messages, *(column.name for column in messages.c if column is not messages.c.id)
    )


def _change(dialect: Dialect) -> ClauseElement:
    return dialect.update(
        messages,
        {**GIVEN_KEY, **{name: messages.c[name] for name in STATE}},
        lambda row, new: [row[column.name] == new[f"of_{column.name}"] for column in KEY],
        lambda _, new: {name: new[name] for name in STATE},
    )


# --- what a transaction finds -------------------------------------------------------------------


def find_known(
    session: Session, keys: Collection[MessageKey]
) -> dict[MessageKey, tuple[RunId, bytes | None]]:
    """Return the run and the digest of each of the messages that was posted."""
    if not keys:
        return {}
    rows = session.rows(_posted, **key_parts(keys))
    return {to_key(*key): (run_id, digest) for *key, run_id, digest in rows}


def _posted(dialect: Dialect) -> ClauseElement:
    """It finds more than was asked for where there are several workflows or kinds."""
    return select(*KEY, messages.c.run_id, messages.c.digest).where(*among_keys(dialect))


def among_keys(dialect: Dialect) -> Sequence[ColumnElement[bool]]:
    workflow, kind, message_id = KEY
    return (
        dialect.among(workflow, "workflows"),
        dialect.among(kind, "kinds"),
        dialect.among(message_id, "ids"),
    )


def key_parts(keys: Collection[MessageKey]) -> dict[str, object]:
    """Return the values that `among_keys` compares with."""
    return {
        "workflows": {key.workflow for key in keys},
        "kinds": {int(key.kind) for key in keys},
        "ids": {key.id for key in keys},
    }


def find_waiting(session: Session, run_ids: Collection[RunId]) -> list[Message]:
    """Return the messages that wait for the runs, without their payloads, in the order in which
    they were posted.
    """
    if not run_ids:
        return []
    return [to_message(row) for row in session.rows(_waiting, run_ids=run_ids)]


def _waiting(dialect: Dialect) -> ClauseElement:
    return (
        select(*ENVELOPE)
        .where(dialect.among(messages.c.run_id, "run_ids"), messages.c.outcome == WAITS)
        .order_by(messages.c.id)
    )


def find_first(
    session: Session, run_id: RunId, keys: Collection[MessageKey], limit: int
) -> list[Message]:
    """Return the first messages that wait for the run, and those of the keys that do."""
    rows = session.rows(_first, run_id=run_id, most=limit) if limit else []
    rows += session.rows(_with_keys, run_id=run_id, **key_parts(keys)) if keys else []
    found = {message.key: message for message in map(to_message, rows)}
    return list(found.values())


def _first(_: Dialect) -> ClauseElement:
    return (
        select(*ENVELOPE)
        .where(messages.c.run_id == bindparam("run_id"), messages.c.outcome == WAITS)
        .order_by(messages.c.id)
        .limit(bindparam("most"))
    )


def _with_keys(dialect: Dialect) -> ClauseElement:
    return select(*ENVELOPE).where(
        *among_keys(dialect),
        messages.c.run_id == bindparam("run_id"),
        messages.c.outcome == WAITS,
    )


def find_expired(session: Session, workflows: Collection[str]) -> dict[MessageKey, RunId]:
    """Return messages of each of the workflows that have expired, and their runs. The transaction's
    time is still that of its locks.
    """
    time, now = session.time, session.now()
    session.time = time
    return {
        to_key(*key): run_id
        for workflow in sorted(workflows)
        for *key, run_id in session.rows(_expired, workflow=workflow, now=now, most=EXPIRED_AT_ONCE)
    }


def _expired(_: Dialect) -> ClauseElement:
    return (
        select(*KEY, messages.c.run_id)
        .where(
            messages.c.workflow == bindparam("workflow"),
            messages.c.outcome == WAITS,
            messages.c.expires_at <= bindparam("now"),
        )
        .order_by(messages.c.expires_at)
        .limit(bindparam("most"))
    )
