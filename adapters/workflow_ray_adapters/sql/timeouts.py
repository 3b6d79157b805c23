"""Timeouts: noted once for good, due by time, and completed."""

from collections.abc import Collection, Sequence

from sqlalchemy import ClauseElement, ColumnElement, bindparam, false, func, select, true, update

from workflow_ray.records import RunId, Timeout, TimeoutKey, Version
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.rows import micros, moment
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values
from workflow_ray_adapters.sql.tables import timeouts

KEY = (timeouts.c.run_id, timeouts.c.visit, timeouts.c.name)


def create(session: Session, created: Sequence[Timeout]) -> None:
    """Of two with one key the first stands, whether it is in the store or in `created`."""
    first = {timeout.key: timeout for timeout in reversed(created)}
    session.run(_create, [_row(first[key]) for key in sorted(first, key=_order)])
    session.notification.timeouts |= {(timeout.workflow, timeout.status, micros(timeout.due_at)) for timeout in created}


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
    }


def _create(dialect: Dialect) -> ClauseElement:
    return dialect.add_missing(timeouts)


def due(
    session: Session, workflow: str, status: int, partitions: Collection[int], now: int, limit: int
) -> tuple[list[Timeout], int | None]:
    """Those that are due, and when the next of the others gets due."""
    asked = {"workflow": workflow, "status": status, "partitions": list(partitions), "now": now}
    found = [_timeout(*row) for row in session.rows(_due, **asked, most=limit)]
    ((next_due,),) = session.rows(_next_due, **asked)
    return found, next_due


def _timeout(run_id: str, visit: int, name: str, workflow: str, status: int, partition: int, due_at: int) -> Timeout:
    key = TimeoutKey(RunId(run_id), Version(visit), name)
    return Timeout(key=key, workflow=workflow, status=status, partition=partition, due_at=moment(due_at))


def _due(dialect: Dialect) -> ClauseElement:
    columns = (*KEY, timeouts.c.workflow, timeouts.c.status, timeouts.c.partition_no, timeouts.c.due_at)
    query = select(*columns).where(*_open(dialect), timeouts.c.due_at <= bindparam("now"))
    return query.order_by(timeouts.c.due_at, *KEY).limit(bindparam("most"))


def _next_due(dialect: Dialect) -> ClauseElement:
    return select(func.min(timeouts.c.due_at)).where(*_open(dialect), timeouts.c.due_at > bindparam("now"))


def _open(dialect: Dialect) -> tuple[ColumnElement[bool], ...]:
    return (
        timeouts.c.workflow == bindparam("workflow"),
        timeouts.c.status == bindparam("status"),
        timeouts.c.completed == false(),
        dialect.among(timeouts.c.partition_no, "partitions"),
    )


def complete(session: Session, keys: Sequence[TimeoutKey]) -> None:
    session.run(_complete, [{"of_run": key.run_id, "of_visit": key.visit, "named": key.name} for key in sorted(set(keys), key=_order)])


def _complete(dialect: Dialect) -> ClauseElement:
    column = timeouts.c
    given = dialect.row(of_run=column.run_id, of_visit=column.visit, named=column.name)
    return (
        update(timeouts)
        .where(column.run_id == given["of_run"], column.visit == given["of_visit"], column.name == given["named"])
        .values(completed=true())
    )
