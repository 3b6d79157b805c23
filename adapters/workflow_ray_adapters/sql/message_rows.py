"""Convert between rows of messages and structs."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column

from workflow_ray.records import (
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    RunId,
    Version,
)
from workflow_ray_adapters.sql.rows import Values, micros, moment
from workflow_ray_adapters.sql.tables import messages

WAITS = 0
"""The outcome of a message that waits."""
OUTCOMES = {int(outcome): outcome for outcome in MessageOutcome}
KINDS = {int(kind): kind for kind in MessageKind}
STATUSES = msgspec.json.Decoder(tuple[int, ...])
KEY: tuple[Column[Any], ...] = (messages.c.workflow, messages.c.kind, messages.c.message_id)
ENVELOPE: tuple[Column[Any], ...] = (  # all but the payload
    *KEY,
    messages.c.run_id,
    messages.c.name,
    messages.c.statuses,
    messages.c.kept_at,
    messages.c.visit,
    messages.c.digest,
    messages.c.sent_by,
    messages.c.posted_at,
    messages.c.expires_at,
    messages.c.attempt,
    messages.c.due_at,
    messages.c.reason,
    messages.c.outcome,
    messages.c.version,
    messages.c.settled_at,
)


def to_key(workflow: str, kind: int, message_id: str) -> MessageKey:
    return MessageKey(workflow, KINDS[kind], MessageId(message_id))


def to_message(row: Sequence[Any], payload: bytes = b"") -> Message:
    """Make a message of the columns ENVELOPE, in their order."""
    (
        workflow,
        kind,
        message_id,
        run_id,
        name,
        statuses,
        kept_at,
        visit,
        digest,
        by,
        posted,
        expires,
        attempt,
        due,
        reason,
        outcome,
        version,
        settled,
    ) = row
    return Message(
        key=to_key(workflow, kind, message_id),
        run_id=RunId(run_id),
        name=name,
        statuses=to_statuses(statuses),
        kept_at=None if kept_at is None else to_statuses(kept_at),
        expires_at=None if expires is None else moment(expires),
        visit=None if visit is None else Version(visit),
        payload=payload,
        digest=digest,
        by=by,
        posted_at=moment(posted),
        attempt=attempt,
        due_at=None if due is None else moment(due),
        reason=reason,
        outcome=None if outcome == WAITS else OUTCOMES[outcome],
        version=None if version is None else Version(version),
        settled_at=None if settled is None else moment(settled),
    )


def to_statuses(text: str) -> tuple[int, ...]:
    return STATUSES.decode(text)


def from_statuses(statuses: tuple[int, ...]) -> str:
    return msgspec.json.encode(statuses).decode()


def message_row(message: Message) -> Values:
    return {
        **key_row(message.key),
        "run_id": message.run_id,
        "name": message.name,
        "statuses": from_statuses(message.statuses),
        "kept_at": None if message.kept_at is None else from_statuses(message.kept_at),
        "visit": message.visit,
        "payload": message.payload,
        "digest": message.digest,
        "sent_by": message.by,
        "posted_at": micros(message.posted_at),
        **state_row(message),
    }


def key_row(key: MessageKey) -> Values:
    return {"workflow": key.workflow, "kind": int(key.kind), "message_id": key.id}


def state_row(message: Message) -> Values:
    """Return the columns that change while a message is stored."""
    return {
        "expires_at": None if message.expires_at is None else micros(message.expires_at),
        "attempt": message.attempt,
        "due_at": None if message.due_at is None else micros(message.due_at),
        "reason": message.reason,
        "outcome": WAITS if message.outcome is None else int(message.outcome),
        "version": message.version,
        "settled_at": None if message.settled_at is None else micros(message.settled_at),
    }
