"""Read who holds which role, and which events wait for their time."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ClauseElement, bindparam, select

from workflow_ray.records import Activity, OutboxEntry, RoleHolder, RunId, Version, asks_for
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import outbox
from workflow_ray_adapters.sql.outbox import ENTRY
from workflow_ray_adapters.sql.rows import AT_ONCE, moment, to_event
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import fences


def activity(
    session: Session, limit: int, steps: Mapping[RunId, Version] | None = None
) -> Activity:
    """Read the leases, and the first `limit` delayed events, which an index has in order.

    Args:
        session: The transaction.
        limit: The most events.
        steps: Only the events that ask for these steps. None: all.
    """
    now = session.now()
    events = _events(session, now, limit) if steps is None else _asking(session, now, steps)[:limit]
    return Activity(
        now=moment(now),
        holders=tuple(
            RoleHolder(role=role, epoch=epoch, worker=holder, until=moment(until))
            for role, epoch, holder, until in session.rows(_holders, now=now)
        ),
        delayed=tuple(events),
    )


def _events(session: Session, now: int, limit: int) -> Sequence[OutboxEntry]:
    return [
        OutboxEntry(id=entry_id, event=to_event(*event), due_at=moment(due_at))
        for entry_id, due_at, *event in session.rows(delayed, now=now, most=limit)
    ]


def _asking(session: Session, now: int, steps: Mapping[RunId, Version]) -> Sequence[OutboxEntry]:
    """Read the delayed events that ask for steps: an index has the few entries of each run."""
    rows = session.rows(of_runs, run_ids=list(steps)) if steps else ()
    found = [
        OutboxEntry(id=entry_id, event=to_event(*event), due_at=moment(due_at))
        for entry_id, due_at, *event in sorted(rows, key=lambda row: (row[1], row[0]))
        if due_at > max(now, AT_ONCE)
    ]
    return [entry for entry in found if asks_for(entry, steps)]


def _holders(_: Dialect) -> ClauseElement:
    return (
        select(fences.c.role, fences.c.epoch, fences.c.holder, fences.c.lease_until)
        .where(fences.c.holder.is_not(None), fences.c.lease_until > bindparam("now"))
        .order_by(fences.c.role)
    )


def of_runs(dialect: Dialect) -> ClauseElement:
    """All events of runs in the outbox."""
    return select(outbox.c.id, outbox.c.due_at, *ENTRY).where(
        dialect.among(outbox.c.run_id, "run_ids"), outbox.c.timeout_name.is_(None)
    )


def delayed(_: Dialect) -> ClauseElement:
    """The first condition follows from the second one, unless a clock is set to before 1970."""
    return (
        select(outbox.c.id, outbox.c.due_at, *ENTRY)
        .where(outbox.c.due_at > AT_ONCE, outbox.c.due_at > bindparam("now"))
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(bindparam("most"))
    )
