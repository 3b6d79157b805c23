"""Read messages. Each function runs in one snapshot."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import accumulate
from operator import itemgetter
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    ClauseElement,
    Integer,
    Select,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
)

from workflow_ray.records import (
    BATCH_DATA,
    Message,
    MessageKey,
    MessageOutcome,
    MessageQuery,
    RunId,
    Version,
)
from workflow_ray_adapters.sql.database import BRIEF
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.inboxes import among_keys, key_parts
from workflow_ray_adapters.sql.message_rows import ENVELOPE, KEY, WAITS, to_key, to_message
from workflow_ray_adapters.sql.rows import micros, moment
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import messages, records

ENDLESS = 2**63 - 1
"""A time after all others."""


def is_brief(query: MessageQuery) -> bool:
    return _most(query) <= BRIEF


def payload_limit(query: MessageQuery) -> int:
    """Return the largest number of bytes of a payload that is read at once. A database that sorts
    what it reads then holds no more than a batch of data.
    """
    if not query.payloads:
        return -1  # an empty one is left out as well
    return BATCH_DATA // max(1, _most(query))


def _most(query: MessageQuery) -> int:
    """Return the largest number of rows that the query returns."""
    return len(query.keys) + (query.limit if query.run_ids else 0)


def read(
    session: Session, query: MessageQuery, *, settled: bool
) -> tuple[list[Message], list[tuple[MessageKey, int]]]:
    """Return the messages, up to the limit or to the one whose payload exceeds BATCH_DATA; and when
    those that are asked for by their keys expire, which is a change that no commit gives notice of.
    """
    now = session.now()
    found: list[tuple[Message, int, bool]] = []
    expiring: list[tuple[MessageKey, int]] = []
    for stored, size, is_left_out, version in _found(session, query, now, settled=settled):
        message = _as_of(stored, version, moment(now))
        if query.keys and message.outcome is None and message.expires_at is not None:
            expiring.append((message.key, micros(message.expires_at)))
        is_early = query.due and message.due_at is not None and micros(message.due_at) > now
        if not is_early and (not settled or message.outcome is not None):
            found.append((message, size, is_left_out) if query.payloads else (message, 0, False))
    before = accumulate((size for _, size, _ in found), initial=0)
    page = [
        (message, is_left_out)
        for (message, _, is_left_out), size in zip(found[: query.limit], before, strict=False)
        if size <= BATCH_DATA
    ]
    return _with_payloads(session, page), expiring


def _as_of(message: Message, version: Version | None, now: datetime) -> Message:
    """Return the message as it is settled by now, at that version of its run."""
    if not message.has_expired(now):
        return message
    return message.settled(MessageOutcome.EXPIRED, version, now)


def _found(
    session: Session, query: MessageQuery, now: int, *, settled: bool
) -> Iterator[tuple[Message, int, bool, Version | None]]:
    """Yield the messages, the sizes of their payloads, whether the payload was left out, and the
    versions of their runs, in the order in which they were posted.
    """
    rows: list[Any] = []
    limit = payload_limit(query)
    if query.keys:
        rows += _by_keys(session, query.keys, _with_small_payloads, small=limit)
    asked: dict[str, object] = {"most": query.limit, "small": limit}
    is_one = len(query.run_ids) == 1
    asked |= {"run_id": query.run_ids[0]} if is_one else {"run_ids": query.run_ids}
    if query.run_ids and query.failed:
        rows += session.rows(_failed_of_run if is_one else _failed, **asked)
    elif query.run_ids and not settled:
        # the latest due time of those that are asked for
        latest = now if query.due else ENDLESS
        statement = _waiting_of_run if is_one else _waiting
        rows += session.rows(statement, **asked, now=now, latest=latest)
    rows.sort(key=itemgetter(-1))
    known = set[MessageKey]()
    for *envelope, payload, size, version, _ in rows:
        message = to_message(envelope, payload or b"")
        if message.key not in known:
            known.add(message.key)
            yield message, size, size > limit, version


def _by_keys(
    session: Session,
    keys: Collection[MessageKey],
    statement: Callable[[Dialect], ClauseElement],
    **values: object,
) -> list[Any]:
    """Return the rows of these keys. They begin with the key."""
    rows = session.rows(statement, **key_parts(keys), **values)
    asked = {(key.workflow, int(key.kind), key.id) for key in keys}
    return [row for row in rows if tuple(row[:3]) in asked]


def _with_payloads(session: Session, page: Sequence[tuple[Message, bool]]) -> list[Message]:
    """Return the messages, those with a payload that was left out completed."""
    keys = [message.key for message, is_left_out in page if is_left_out]
    rows = _by_keys(session, keys, _payloads) if keys else []
    payloads = {to_key(*key): payload for *key, payload in rows}
    return [
        replace(message, payload=payloads[message.key]) if is_left_out else message
        for message, is_left_out in page
    ]


def _columns() -> Select[*tuple[Any, ...]]:
    """Read messages with their payloads, so that mostly one statement is enough. Payloads that are
    not small are left out, because a page may end before them.
    """
    size = func.length(messages.c.payload)
    is_large = size > bindparam("small", type_=Integer)
    payload = case((is_large, null()), else_=messages.c.payload)
    version = records.c.version.label("run_version")
    return select(*ENVELOPE, payload, size, version, messages.c.id).outerjoin(
        records, records.c.run_id == messages.c.run_id
    )


def _with_small_payloads(dialect: Dialect) -> ClauseElement:
    return _columns().where(*among_keys(dialect))


def _waiting(dialect: Dialect) -> ClauseElement:
    return _not_expired(_of_runs(dialect, WAITS))


def _waiting_of_run(_: Dialect) -> ClauseElement:
    return _not_expired(_of_run(WAITS))


def _failed(dialect: Dialect) -> ClauseElement:
    return _of_runs(dialect, int(MessageOutcome.FAILED))


def _failed_of_run(_: Dialect) -> ClauseElement:
    return _of_run(int(MessageOutcome.FAILED))


def _not_expired(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    expires_at, due_at = messages.c.expires_at, messages.c.due_at
    return query.where(
        or_(expires_at.is_(None), expires_at > bindparam("now")),
        or_(due_at.is_(None), due_at <= bindparam("latest")),
    )


def _of_runs(dialect: Dialect, outcome: int) -> Select[*tuple[Any, ...]]:
    """Read messages of several runs, which are sorted. By the id alone, PostgreSQL may go through
    the messages of all runs in the order of the ids.
    """
    return (
        _columns()
        .where(dialect.among(messages.c.run_id, "run_ids"), messages.c.outcome == outcome)
        .order_by(messages.c.id + 0)
        .limit(bindparam("most"))
    )


def _of_run(outcome: int) -> Select[*tuple[Any, ...]]:
    """Read messages of one run, which an index has in their order."""
    return (
        _columns()
        .where(messages.c.run_id == bindparam("run_id"), messages.c.outcome == outcome)
        .order_by(messages.c.id)
        .limit(bindparam("most"))
    )


def _payloads(dialect: Dialect) -> ClauseElement:
    return select(*KEY, messages.c.payload).where(*among_keys(dialect))


def states(
    session: Session, keys: Collection[MessageKey], run_ids: Collection[RunId]
) -> Iterator[tuple[MessageKey, RunId, bool]]:
    """Yield the messages of these keys and those that wait or have failed of these runs, each with
    its run and whether it is settled.
    """
    rows: list[Any] = _by_keys(session, keys, _states) if keys else []
    if run_ids:
        rows += session.rows(_states_of_runs, run_ids=run_ids)
    for *key, run_id, outcome in rows:
        yield to_key(*key), run_id, outcome != WAITS


def _states(dialect: Dialect) -> ClauseElement:
    return select(*KEY, messages.c.run_id, messages.c.outcome).where(*among_keys(dialect))


def _states_of_runs(dialect: Dialect) -> ClauseElement:
    outcome = messages.c.outcome
    return select(*KEY, messages.c.run_id, outcome).where(
        dialect.among(messages.c.run_id, "run_ids"),
        or_(outcome == WAITS, outcome == int(MessageOutcome.FAILED)),
    )
