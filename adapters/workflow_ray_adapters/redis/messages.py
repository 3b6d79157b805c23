"""Messages and results of once: as scripts take them, and as they are read."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from workflow_ray.records import (
    BATCH_DATA,
    Kept,
    Message,
    MessageFailure,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    NewMessage,
    NoRun,
    NotAwaited,
    OnceAnswer,
    OnceResult,
    Posted,
    PostResult,
    RunId,
    RunState,
    Version,
    VisitOver,
)
from workflow_ray_adapters.redis.rows import encode, microseconds, moment, numbers, seconds
from workflow_ray_adapters.redis.scripts import MESSAGES, RESULTS
from workflow_ray_adapters.redis.server import Server

Plain: TypeAlias = list[Any]
EVERY_STATUS = "*"


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What scripts do not look at of a message. Fields are only added, with a default."""

    kind: MessageKind
    id: MessageId
    workflow: str
    name: str
    by: str
    digest: bytes | None = None

    @property
    def key(self) -> MessageKey:
        return MessageKey(self.workflow, self.kind, self.id)


class Failure(msgspec.Struct, frozen=True):
    """The failed attempts of a message. Fields are only added, with a default."""

    attempt: int
    reason: str | None = None  # None: it was cleared


class MessageRow(msgspec.Struct, frozen=True, array_like=True):
    """A message without its payload. Texts are empty where there is nothing."""

    number: int
    body: Body
    run_id: RunId
    statuses: tuple[int, ...]
    kept_at: tuple[int, ...] | None
    visit: str
    posted_at: str
    expires_at: str
    due_at: str
    settled_at: str
    outcome: str
    version: str
    failure: Failure | None


class ResultRow(msgspec.Struct, frozen=True, array_like=True):
    run_id: RunId
    visit: Version
    name: str


_body = msgspec.json.Decoder(Body)
_messages = msgspec.json.Decoder(list[MessageRow])
_results = msgspec.json.Decoder(list[ResultRow])


def name_of(key: MessageKey) -> str:
    """Return the name of a message among those of its workflow."""
    return f"{int(key.kind)}:{key.id}"


def topic_of(key: MessageKey) -> str:
    """Return the name that is notified when the message is posted or settled."""
    return f"message:{key.workflow}:{name_of(key)}"


# --- as scripts take them -----------------------------------------------------------------------


def new_message(new: NewMessage, place: int) -> Plain:
    """Return the message for the script.

    Args:
        new: The message.
        place: That of the payload; 0: it is empty.
    """
    key = new.key
    body = Body(
        kind=key.kind,
        id=key.id,
        workflow=key.workflow,
        name=new.name,
        by=new.by,
        digest=new.digest,
    )
    return [
        name_of(key),
        key.workflow,
        new.run_id or False,
        new.foreign_id or "",
        numbers(new.statuses),
        EVERY_STATUS if new.kept_at is None else numbers(new.kept_at),
        "" if new.visit is None else str(new.visit),
        False if new.keep is None else microseconds(max(0.0, new.keep)),
        encode(body),
        place,
    ]


def failed(failure: MessageFailure) -> Plain:
    return [
        failure.key.workflow,
        name_of(failure.key),
        failure.run_id,
        encode(Failure(failure.attempt, failure.reason)),
        False if failure.retry_in is None else microseconds(max(0.0, failure.retry_in)),
    ]


def once_result(result: OnceResult, place: int) -> Plain:
    return [result.run_id, str(result.visit), result.name, place]


# --- the script's answers -----------------------------------------------------------------------


def post_result(new: NewMessage, answer: Sequence[bytes]) -> PostResult:
    match answer:
        case [b"p", run_id]:
            return Posted(new.key, RunId(run_id.decode()), new.digest)
        case [b"p", run_id, body]:
            digest = _body.decode(body).digest
            return Posted(new.key, RunId(run_id.decode()), digest, is_new=False)
        case [b"n", run_id, status, run_state, version]:
            return NotAwaited(
                new.key,
                RunId(run_id.decode()),
                int(status),
                RunState(int(run_state)),
                Version(int(version)),
            )
        case _:
            return NoRun(new.key)


def once_answer(result: OnceResult, answer: Sequence[bytes]) -> OnceAnswer:
    letter, found = answer
    if letter == b"k":
        return Kept(result.run_id, result.name, found)
    return VisitOver(result.run_id, Version(int(found)))


# --- reading ------------------------------------------------------------------------------------


async def read(
    server: Server, now: str, query: MessageQuery, settled: bool
) -> tuple[list[Message], float | None]:
    """Return the messages, and the seconds until the next of those that wait expires."""
    keys = [part for key in query.keys for part in (key.workflow, name_of(key))]
    rows, payloads, next_expiry = await server.call(
        MESSAGES,
        now,
        query.limit,
        BATCH_DATA if query.payloads else "",
        "1" if settled else "",
        "1" if query.failed else "",
        "1" if query.due else "",
        len(query.keys),
        *keys,
        *query.run_ids,
    )
    found = [
        _message(row, payload)
        for row, payload in zip(_messages.decode(rows), payloads, strict=True)
    ]
    return found, seconds(next_expiry)


def _message(row: MessageRow, payload: bytes) -> Message:
    body, failure = row.body, row.failure
    return Message(
        key=body.key,
        run_id=row.run_id,
        name=body.name,
        statuses=row.statuses,
        kept_at=row.kept_at,
        expires_at=moment(row.expires_at) if row.expires_at else None,
        visit=Version(int(row.visit)) if row.visit else None,
        payload=payload,
        digest=body.digest,
        by=body.by,
        posted_at=moment(row.posted_at),
        attempt=failure.attempt if failure else 0,
        due_at=moment(row.due_at) if row.due_at else None,
        reason=failure.reason if failure else None,
        outcome=MessageOutcome(int(row.outcome)) if row.outcome else None,
        version=Version(int(row.version)) if row.version else None,
        settled_at=moment(row.settled_at) if row.settled_at else None,
    )


async def results(server: Server, run_ids: Sequence[RunId]) -> list[OnceResult]:
    rows, stored = await server.call(RESULTS, *run_ids)
    return [
        OnceResult(run_id=row.run_id, visit=row.visit, name=row.name, result=result)
        for row, result in zip(_results.decode(rows), stored, strict=True)
    ]
