"""Runs that nothing wakes: they could go on, and have no event waiting for publication."""

from collections.abc import Sequence

from sqlalchemy import ClauseElement, bindparam, select

from workflow_ray.records import Event, RunId, RunState, Version, status_topic
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import outbox, records

PROCEEDING = tuple(int(state) for state in RunState if not state.at_rest)
AT_ONCE = 5_000
"""Runs that are looked up in the outbox together: one pass over it, however few or many runs and entries there are. Left to the
databases, with a join, that took minutes where one of them took the one or the other for few.
"""


def idle(session: Session, workflow: str, statuses: Sequence[int], before: int, limit: int, after: RunId | None) -> list[Event]:
    """The events that should have woken those last written at `before` or earlier, by run id."""
    asked = {"workflow": workflow, "statuses": list(statuses), "run_states": PROCEEDING, "before": before}
    last: str = after or ""
    while rows := session.rows(_quiet, **asked, after=last, most=max(limit, AT_ONCE)):
        run_ids = [row[0] for row in rows]
        pending = {run_id for (run_id,) in session.rows(_pending, run_ids=run_ids)}
        if found := [_event(workflow, *row) for row in rows if row[0] not in pending]:
            return found[:limit]
        last = run_ids[-1]
    return []


def _event(workflow: str, run_id: str, status: int, partition: int, version: int) -> Event:
    topic = status_topic(workflow, status)
    return Event(run_id=RunId(run_id), topic=topic, partition=partition, version=Version(version), status=status)


def _quiet(dialect: Dialect) -> ClauseElement:
    """Only unfinished runs are looked at. That they aren't NULL is said as a range, and the run ids are kept from the planner, or
    SQLite would go through all runs of the workflow in their order.
    """
    run_id = records.c.run_id.concat("")
    return (
        select(records.c.run_id, records.c.status, records.c.partition_no, records.c.version)
        .where(records.c.workflow == bindparam("workflow"), records.c.unfinished >= "", run_id > bindparam("after"))
        .where(dialect.among(records.c.status, "statuses"), dialect.among(records.c.run_state, "run_states"))
        .where(records.c.updated_at <= bindparam("before"))
        .order_by(run_id)
        .limit(bindparam("most"))
    )


def _pending(dialect: Dialect) -> ClauseElement:
    return select(outbox.c.run_id).where(dialect.among(outbox.c.run_id, "run_ids"))
