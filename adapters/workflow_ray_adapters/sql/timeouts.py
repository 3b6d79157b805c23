"""Create timeouts, find those that are due, complete them, and delete them some time later."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Select,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    true,
)

from workflow_ray.records import RunId, Timeout, TimeoutKey, Version
from workflow_ray_adapters.sql.dialect import Columns, Dialect
from workflow_ray_adapters.sql.rows import micros, moment
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values
from workflow_ray_adapters.sql.tables import timeouts

MICROSECONDS = 1_000_000
KEY = (timeouts.c.run_id, timeouts.c.visit, timeouts.c.name)
GIVEN_KEY: Columns = dict(zip(("of_run", "of_visit", "named"), KEY, strict=True))


def create(session: Session, created: Sequence[Timeout]) -> None:
    """Create timeouts. Of two with one key the first stands, whether it is in the store or in
    `created`.
    """
    first = {timeout.key: timeout for timeout in reversed(created)}
    add(session, [_row(timeout) for timeout in first.values()])


def add(session: Session, rows: Sequence[Values]) -> None:
    """Add rows with different keys. They are written in the order of these, so that no two
    transactions wait for each other.
    """
    session.run(_create, sorted(rows, key=itemgetter("run_id", "visit", "name")))
    session.notification.timeouts |= {
        (row["workflow"], row["status"], row["due_at"]) for row in rows
    }


def _order(key: TimeoutKey) -> tuple[str, int, str]:
    return key.run_id, key.visit, key.name


def _row(timeout: Timeout) -> Values:
    return {
        "run_id": timeout.key.run_id,
        "visit": timeout.key.visit,
        "name": timeout.key.name,
        "workflow": timeout.workflow,
        "status": timeout.status,
        "partition_no": timeout.partition,
        "due_at": micros(timeout.due_at),
        "completed": False,
        "completed_at": None,
    }


def _create(dialect: Dialect) -> ClauseElement:
    return dialect.insert_missing(timeouts)


@dataclass(frozen=True)
class Due:
    """What a timeout role asks for."""

    workflow: str
    status: int
    partitions: Collection[int]
    limit: int
    after: Timeout | None = None


def due(session: Session, asked: Due) -> tuple[list[Timeout], int | None]:
    """Return the timeouts that are due, and when the next of the others is due."""
    now, partitions = session.now(), list(asked.partitions)
    if not partitions:
        return [], None
    values = {
        "workflow": asked.workflow,
        "status": asked.status,
        "partitions": partitions,
        "now": now,
    }
    after, last = asked.after, {}
    if after is not None:
        last = {
            "at": micros(after.due_at),
            "of_run": after.key.run_id,
            "of_visit": after.key.visit,
            "named": after.key.name,
        }
    rows = session.rows(
        _due if after is None else _due_after, **values, **last, limited=asked.limit
    )
    ((next_due,),) = session.rows(_next_due, **values)
    return [_timeout(*row) for row in rows], next_due


def _timeout(
    run_id: str, visit: int, name: str, workflow: str, status: int, partition: int, due_at: int
) -> Timeout:
    key = TimeoutKey(RunId(run_id), Version(visit), name)
    return Timeout(
        key=key, workflow=workflow, status=status, partition=partition, due_at=moment(due_at)
    )


def _due(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    columns = (
        *KEY,
        timeouts.c.workflow,
        timeouts.c.status,
        timeouts.c.partition_no,
        timeouts.c.due_at,
    )
    query = select(*columns).where(*_open(dialect), timeouts.c.due_at <= bindparam("now"))
    return query.order_by(timeouts.c.due_at, *KEY).limit(bindparam("limited"))


def _due_after(dialect: Dialect) -> ClauseElement:
    """The first condition is one that an index serves. It is written apart because not every
    planner finds it in the second.
    """
    column = timeouts.c
    later_name = and_(column.visit == bindparam("of_visit"), column.name > bindparam("named"))
    later_visit = and_(
        column.run_id == bindparam("of_run"), or_(column.visit > bindparam("of_visit"), later_name)
    )
    same_time = and_(
        column.due_at == bindparam("at"), or_(column.run_id > bindparam("of_run"), later_visit)
    )
    return _due(dialect).where(
        column.due_at >= bindparam("at"), or_(column.due_at > bindparam("at"), same_time)
    )


def _next_due(dialect: Dialect) -> ClauseElement:
    return select(func.min(timeouts.c.due_at)).where(
        *_open(dialect), timeouts.c.due_at > bindparam("now")
    )


def _open(dialect: Dialect) -> tuple[ColumnElement[bool], ...]:
    return (
        timeouts.c.workflow == bindparam("workflow"),
        timeouts.c.status == bindparam("status"),
        timeouts.c.completed == false(),
        dialect.among(timeouts.c.partition_no, "partitions"),
    )


def complete(session: Session, keys: Sequence[TimeoutKey]) -> None:
    at = session.now()
    rows = [
        {"of_run": key.run_id, "of_visit": key.visit, "named": key.name, "at": at}
        for key in sorted(set(keys), key=_order)
    ]
    session.run(_complete, rows)


def _complete(dialect: Dialect) -> ClauseElement:
    return dialect.update(
        timeouts,
        {**GIVEN_KEY, "at": timeouts.c.completed_at},
        lambda row, new: (*_has_given_key(row, new), row.completed == false()),
        lambda _, new: {"completed": true(), "completed_at": new["at"]},
    )


def trim(session: Session, completed: float, limit: int) -> int:
    """Delete up to `limit` that were completed at least `completed` seconds ago. Return how
    many.
    """
    before = session.now() - round(completed * MICROSECONDS)
    keys = session.rows(_completed, before=before, limited=limit)
    session.run(
        _forget,
        [
            {"of_run": run_id, "of_visit": visit, "named": name}
            for run_id, visit, name in sorted(keys)
        ],
    )
    return len(keys)


def _completed(_: Dialect) -> ClauseElement:
    column = timeouts.c
    return (
        select(*KEY)
        .where(column.completed_at <= bindparam("before"))
        .order_by(column.completed_at)
        .limit(bindparam("limited"))
    )


def _forget(dialect: Dialect) -> ClauseElement:
    return dialect.delete(timeouts, GIVEN_KEY, _has_given_key)


def _has_given_key(row: Any, new: Any) -> tuple[ColumnElement[bool], ...]:
    return row.run_id == new["of_run"], row.visit == new["of_visit"], row.name == new["named"]
