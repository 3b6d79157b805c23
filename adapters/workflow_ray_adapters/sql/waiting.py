"""Find runs that await an event and have none in the outbox: it is in the stream, or lost."""

from sqlalchemy import ClauseElement, bindparam, select

from workflow_ray.records import Event, RunId, Version, Waiting, WaitingQuery, status_topic
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import outbox
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import records

MICROSECONDS = 1_000_000


def waiting(session: Session, query: WaitingQuery) -> Waiting:
    """Return the runs. This reads as many rows of two indexes as the query's limit, whatever else
    there is.
    """
    before = session.now() - round(query.quiet * MICROSECONDS)
    asked = {
        "workflow": query.workflow,
        "partition": query.partition,
        "after": query.after or "",
        "most": query.limit,
    }
    rows = session.rows(_awaiting, **asked)
    quiet = [row for row in rows if row[-1] <= before]
    pending: set[str] = (
        {row[0] for row in session.rows(_pending, run_ids=[row[0] for row in quiet])}
        if quiet
        else set()
    )
    return Waiting(
        events=tuple(_event(query, *row[:-1]) for row in quiet if row[0] not in pending),
        after=rows[-1][0] if len(rows) == query.limit else None,
    )


def _event(query: WaitingQuery, run_id: str, status: int, awaited: int) -> Event:
    """Return the event that should have woken the run."""
    topic = status_topic(query.workflow, status)
    return Event(
        run_id=RunId(run_id),
        topic=topic,
        partition=query.partition,
        version=Version(awaited),
        status=status,
    )


def _awaiting(_: Dialect) -> ClauseElement:
    columns = records.c
    return (
        select(columns.run_id, columns.status, columns.awaited, columns.updated_at)
        .where(
            columns.workflow == bindparam("workflow"),
            columns.awaiting == bindparam("partition"),
            columns.run_id > bindparam("after"),
        )
        .order_by(columns.run_id)
        .limit(bindparam("most"))
    )


def _pending(dialect: Dialect) -> ClauseElement:
    """Return which of the runs have an event in the outbox. A timeout there does not wake its
    run.
    """
    return select(outbox.c.run_id).where(
        dialect.among(outbox.c.run_id, "run_ids"), outbox.c.timeout_name.is_(None)
    )
