"""Entries that groups have set aside."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Select,
    and_,
    func,
    or_,
    select,
)

from workflow_ray.records import BATCH_DATA, NewSetAside, SetAside, SetAsideKey, SetAsideQuery
from workflow_ray_adapters.sql.dialect import Columns, Dialect
from workflow_ray_adapters.sql.rows import Values, moment
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import set_aside

MICROSECONDS = 1_000_000
LONGEST_KEY = 191
"""The length of the column `log_key`."""
KEY = tuple(set_aside.primary_key)
PLACE: tuple[Column[Any], ...] = (  # the order within a group
    set_aside.c.partition_no,
    set_aside.c.log_key,
    set_aside.c.incarnation,
    set_aside.c.stream_offset,
)
ENTRY: tuple[Column[Any], ...] = (
    set_aside.c.role_group,
    set_aside.c.partition_no,
    set_aside.c.stream_offset,
    set_aside.c.log,
    set_aside.c.incarnation,
    set_aside.c.event_id,
    set_aside.c.event,
    set_aside.c.attempt,
    set_aside.c.error,
    set_aside.c.due_at,
    set_aside.c.set_aside_at,
    set_aside.c.changed_at,
)


# --- writing ------------------------------------------------------------------------------------


class Entries:
    """The entries that a transaction makes, replaces and removes."""

    def __init__(self) -> None:
        self._put: dict[SetAsideKey, NewSetAside] = {}
        self._removed: set[SetAsideKey] = set()

    def put(self, entry: NewSetAside) -> None:
        self._put[entry.key] = entry

    def remove(self, key: SetAsideKey) -> None:
        self._put.pop(key, None)
        self._removed.add(key)

    def apply(self, session: Session) -> None:
        """Write the entries in the order of their keys, so that no two transactions wait for each
        other. One that was removed before it is made again is a new one.
        """
        removed = [_key_row(key) for key in sorted(self._removed)]
        session.run(
            _remove, [{f"of_{name}": value for name, value in row.items()} for row in removed]
        )
        rows = [_row(self._put[key], session.now()) for key in sorted(self._put)]
        session.run(_put, rows)
        session.notification.set_aside |= {
            (row["role_group"], row["due_at"]) for row in rows if row["due_at"] is not None
        }


def _row(entry: NewSetAside, now: int) -> Values:
    delay = entry.retry_in
    return {
        **_key_row(entry.key),
        "log": entry.key.log,
        "event_id": entry.event_id,
        "event": entry.event,
        "attempt": entry.attempt,
        "error": entry.error,
        "due_at": None if delay is None else now + round(delay * MICROSECONDS),
        "set_aside_at": now,
        "changed_at": now,
    }


def _key_row(key: SetAsideKey) -> Values:
    return {
        "role_group": key.group,
        "partition_no": key.partition,
        "log_key": log_key(key.log),
        "incarnation": key.incarnation,
        "stream_offset": key.offset,
    }


def log_key(log: str) -> str:
    """Return the log, or where it is too long for a key its beginning and a digest."""
    if len(log) <= LONGEST_KEY:
        return log
    digest = sha256(log.encode()).hexdigest()
    return log[: LONGEST_KEY - len(digest)] + digest


CHANGING = ("event_id", "event", "attempt", "error", "due_at", "changed_at")


def _put(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(set_aside, lambda _, new: {name: getattr(new, name) for name in CHANGING})


def _remove(dialect: Dialect) -> ClauseElement:
    given: Columns = {f"of_{column.name}": column for column in KEY}
    return dialect.delete(
        set_aside, given, lambda row, new: [row[key.name] == new[f"of_{key.name}"] for key in KEY]
    )


# --- reading ------------------------------------------------------------------------------------


def page(session: Session, query: SetAsideQuery) -> list[SetAside]:
    """Return a page of entries, up to the one whose event exceeds BATCH_DATA. The sizes are added
    up before any event is read.
    """
    sized = session.connection.execute(_sized(query)).all()
    size = 0

    def fits(row: Any) -> bool:
        nonlocal size
        is_room = size <= BATCH_DATA
        size += row[-1]
        return is_room

    keys = [tuple(row[:-1]) for row in takewhile(fits, sized)]
    if not keys:
        return []
    found = {
        tuple(row[: len(KEY)]): _entry(row[len(KEY) :])
        for row in session.connection.execute(_at(keys))
    }
    return [found[key] for key in keys if key in found]


def _sized(query: SetAsideQuery) -> Select[Any]:
    columns = set_aside.c
    order = (columns.due_at, *PLACE) if query.due else PLACE
    return (
        select(*KEY, func.length(columns.event))
        .where(*_filters(query))
        .order_by(*order)
        .limit(query.limit)
    )


def _filters(query: SetAsideQuery) -> list[ColumnElement[bool]]:
    columns = set_aside.c
    filters: list[ColumnElement[bool]] = [columns.role_group == query.group]
    if query.due:
        # a range, so that an index that leaves out NULL is used
        filters.append(columns.due_at > 0)
    if query.dead:
        filters.append(columns.due_at.is_(None))
    if query.event_id is not None:
        filters.append(columns.event_id == query.event_id)
    if query.partitions is not None:
        filters.append(columns.partition_no.in_(query.partitions))
    if query.after is not None and not query.due:
        filters += _after(query.after)
    return filters


def _after(key: SetAsideKey) -> Sequence[ColumnElement[bool]]:
    """The first condition is one that an index serves. It is written apart because not every
    planner finds it in the second.
    """
    values = _key_row(key)
    later: ColumnElement[bool] | None = None
    for column in reversed(PLACE):
        value = values[column.name]
        later = (
            column > value if later is None else or_(column > value, and_(column == value, later))
        )
    assert later is not None, "PLACE has columns"
    return set_aside.c.partition_no >= key.partition, later


def _at(keys: Sequence[tuple[Any, ...]]) -> Select[Any]:
    """Find the entries of the page, which all are of one group."""
    group = keys[0][0]
    offsets = {key[-1] for key in keys}
    partitions = {key[1] for key in keys}
    return select(*KEY, *ENTRY).where(
        set_aside.c.role_group == group,
        set_aside.c.partition_no.in_(partitions),
        set_aside.c.stream_offset.in_(offsets),
    )


def _entry(row: Sequence[Any]) -> SetAside:
    group, partition, offset, log, incarnation, event_id, event, attempt, error, *times = row
    due_at, made_at, changed_at = times
    return SetAside(
        key=SetAsideKey(group, partition, offset, log, incarnation),
        event_id=event_id,
        event=event,
        attempt=attempt,
        error=error,
        due_at=None if due_at is None else moment(due_at),
        set_aside_at=moment(made_at),
        changed_at=moment(changed_at),
    )


def first_due(session: Session, groups: Sequence[str]) -> set[tuple[str, int]]:
    """Return when the first entry of each group is due, or was due."""
    columns = set_aside.c
    found = session.connection.execute(
        select(columns.role_group, func.min(columns.due_at))
        .where(columns.role_group.in_(groups), columns.due_at > 0)
        .group_by(columns.role_group)
    )
    return {(group, due) for group, due in found}
