"""Look, in one read, at everything that somebody in this process waits for."""

from collections.abc import Collection
from typing import TypeAlias

from sqlalchemy import ClauseElement, false, func, literal, select, union_all

from workflow_ray.records import Fence, RoleName, RunId, RunState, Topic, Version
from workflow_ray_adapters.sql import messages, outbox, parking, roles, set_asides, stream
from workflow_ray_adapters.sql.counters import OfStatus
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import deployment, records, timeouts
from workflow_ray_adapters.sql.wakeups import Wanted

Ends: TypeAlias = dict[tuple[Topic, int], int]
"""For each topic-partition, the offset that its next event gets."""


def read(session: Session, wanted: Wanted) -> tuple[Notification, Ends]:
    """Return what the store holds of all that is wanted. The number of statements does not depend
    on how much that is.
    """
    found = Notification()
    for run_id, version, run_state in (
        session.rows(_versions, run_ids=list(wanted.runs)) if wanted.runs else ()
    ):
        found.runs[RunId(run_id)] = Version(version)
        if RunState(run_state).at_rest:
            found.at_rest.add(RunId(run_id))
    if wanted.outbox:
        found.due = outbox.first_due(session)
    found.timeouts = _due_timeouts(session, wanted.timeouts)
    if wanted.messages or wanted.inboxes:
        _add_messages(session, wanted, found)
    if wanted.set_aside:
        found.set_aside = set_asides.first_due(session, list(wanted.set_aside))
    if wanted.flow:
        found.flow = parking.changed(session, wanted.flow)
    found.roles = _lost(session, wanted.fences)
    if wanted.deployment is not None:
        ((version,),) = session.rows(_version)
        found.deployment = version > wanted.deployment
    return found, stream.all_ends(session, wanted.topics)


def _versions(dialect: Dialect) -> ClauseElement:
    return select(records.c.run_id, records.c.version, records.c.run_state).where(
        dialect.among(records.c.run_id, "run_ids")
    )


def _add_messages(session: Session, wanted: Wanted, found: Notification) -> None:
    """Add the messages that are wanted, and those of the runs whose inboxes are."""
    for key, run_id, is_settled in messages.states(session, wanted.messages, wanted.inboxes):
        found.add_message(key, run_id, is_settled=is_settled)


def _due_timeouts(session: Session, wanted: Collection[OfStatus]) -> set[tuple[str, int, int]]:
    """Return when the next timeout of each status is due. The statement has a part for each, which
    reads one index entry.
    """
    if not wanted:
        return set()
    first = [
        select(literal(workflow), literal(status), func.min(timeouts.c.due_at)).where(
            timeouts.c.workflow == workflow,
            timeouts.c.status == status,
            timeouts.c.completed == false(),
        )
        for workflow, status in wanted
    ]
    return {
        (workflow, status, due)
        for workflow, status, due in session.connection.execute(union_all(*first))
        if due is not None
    }


def _lost(session: Session, fences: Collection[Fence]) -> set[RoleName]:
    epochs = roles.epochs(session, {fence.role for fence in fences})
    return {fence.role for fence in fences if epochs.get(fence.role, 0) != fence.epoch}


def _version(_: Dialect) -> ClauseElement:
    return select(deployment.c.version)
