"""Read who holds which role, and which events wait for their time."""

from sqlalchemy import ClauseElement, bindparam, select

from workflow_ray.records import Activity, OutboxEntry, RoleHolder
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import outbox
from workflow_ray_adapters.sql.outbox import ENTRY
from workflow_ray_adapters.sql.rows import AT_ONCE, moment, to_event
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import fences


def activity(session: Session, limit: int) -> Activity:
    """Read the leases, and the first `limit` delayed events, which an index has in order."""
    now = session.now()
    return Activity(
        now=moment(now),
        holders=tuple(
            RoleHolder(role=role, epoch=epoch, worker=holder, until=moment(until))
            for role, epoch, holder, until in session.rows(_holders, now=now)
        ),
        delayed=tuple(
            OutboxEntry(id=entry_id, event=to_event(*event), due_at=moment(due_at))
            for entry_id, due_at, *event in session.rows(delayed, now=now, most=limit)
        ),
    )


def _holders(_: Dialect) -> ClauseElement:
    return (
        select(fences.c.role, fences.c.epoch, fences.c.holder, fences.c.lease_until)
        .where(fences.c.holder.is_not(None), fences.c.lease_until > bindparam("now"))
        .order_by(fences.c.role)
    )


def delayed(_: Dialect) -> ClauseElement:
    """The first condition follows from the second one, unless a clock is set to before 1970."""
    return (
        select(outbox.c.id, outbox.c.due_at, *ENTRY)
        .where(outbox.c.due_at > AT_ONCE, outbox.c.due_at > bindparam("now"))
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(bindparam("most"))
    )
