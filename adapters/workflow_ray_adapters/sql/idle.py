"""Runs that nothing wakes: they could go on, and have no event waiting for publication."""

from collections.abc import Sequence

from sqlalchemy import ClauseElement, bindparam, select

from workflow_ray.records import Event, RunId, RunState, Version, status_topic
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import outbox, records

PROCEEDING = tuple(int(state) for state in RunState if not state.at_rest)


def idle(session: Session, workflow: str, statuses: Sequence[int], before: int, limit: int, after: RunId | None) -> list[Event]:
    """The events that should have woken those last written at `before` or earlier, by run id."""
    asked = {"workflow": workflow, "statuses": list(statuses), "run_states": PROCEEDING, "before": before, "after": after or ""}
    rows = session.rows(_idle, **asked, most=limit)
    return [
        Event(run_id=RunId(run_id), topic=status_topic(workflow, status), partition=partition, version=Version(version), status=status)
        for run_id, status, partition, version in rows
    ]


def _idle(dialect: Dialect) -> ClauseElement:
    """Only unfinished runs are looked at. That they aren't NULL is said as a range, and the run ids are kept from the planner, or
    SQLite would go through all runs of the workflow in their order.
    """
    run_id = records.c.run_id.concat("")
    return (
        select(records.c.run_id, records.c.status, records.c.partition_no, records.c.version)
        .where(records.c.workflow == bindparam("workflow"), records.c.unfinished >= "", run_id > bindparam("after"))
        .where(dialect.among(records.c.status, "statuses"), dialect.among(records.c.run_state, "run_states"))
        .where(records.c.updated_at <= bindparam("before"), records.c.run_id.not_in(select(outbox.c.run_id)))
        .order_by(run_id)
        .limit(bindparam("most"))
    )
