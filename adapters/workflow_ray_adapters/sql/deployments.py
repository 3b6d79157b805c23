"""Read and write what should run, and what was ever deployed."""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

import msgspec
from sqlalchemy import ClauseElement, Connection, and_, delete, not_, select, update

from workflow_ray.errors import DeploymentConflict, PartitionsChanged, StatusRenumbered
from workflow_ray.records import DeployedWorkflow, Deployment, FlowLimits, Shape
from workflow_ray_adapters.sql import roles
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import deployment, statuses, topology, workflows


def read(session: Session) -> Deployment:
    connection = session.connection
    store_id, version = connection.execute(
        select(deployment.c.store_id, deployment.c.version)
    ).one()
    numbers: dict[str, dict[str, int]] = {}
    for workflow, name, number in connection.execute(
        select(statuses.c.workflow, statuses.c.name, statuses.c.number)
        .where(statuses.c.active)
        .order_by(statuses.c.number)
    ):
        numbers.setdefault(workflow, {})[name] = number
    groups = _groups(connection)
    rows = session.rows(_deployed_workflows)
    deployed = tuple(
        [
            _workflow(*row, statuses=numbers.get(row[0], {}), groups=groups.get(row[0], []))
            for row in rows
        ]
    )
    return Deployment(store_id=store_id, version=version, workflows=deployed)


def _deployed_workflows(_: Dialect) -> ClauseElement:
    column = workflows.c
    columns = (
        column.name,
        column.reference,
        column.python_path,
        column.code,
        column.partitions,
        column.superseded,
        column.paused,
        column.limits,
        column.shape,
    )
    return select(*columns).where(column.place.is_not(None)).order_by(column.place)


def _workflow(
    name: str,
    reference: str,
    python_path: str,
    code: str,
    partitions: int,
    superseded: str | None,
    paused: str | None,
    limits: str | None,
    shape: str | None,
    *,
    statuses: dict[str, int],
    groups: "Sequence[_Group]",
) -> DeployedWorkflow:
    return DeployedWorkflow(
        name=name,
        reference=reference,
        python_path=msgspec.json.decode(python_path, type=tuple[str, ...]),
        code=code,
        superseded=_names(superseded),
        paused=_names(paused),
        limits=msgspec.json.decode(limits, type=dict[str, FlowLimits]) if limits else {},
        shape=msgspec.json.decode(shape, type=Shape) if shape else None,
        statuses=statuses,
        partitions=partitions,
        groups={group.name: group.shards for group in groups},
        scaled={group.name: group.scaled for group in groups if group.scaled is not None},
        draining=tuple(group.name for group in groups if group.draining),
    )


def _names(stored: str | None) -> tuple[str, ...]:
    return msgspec.json.decode(stored, type=tuple[str, ...]) if stored else ()


def _stored(value: tuple[str, ...] | dict[str, FlowLimits] | Shape | None) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


class _Group(NamedTuple):
    name: str
    shards: int
    scaled: int | None
    draining: bool | None


def _groups(connection: Connection) -> dict[str, list[_Group]]:
    """Return the groups of each workflow."""
    columns = (
        topology.c.workflow,
        topology.c.role_group,
        topology.c.shards,
        topology.c.scaled,
        topology.c.draining,
    )
    groups: dict[str, list[_Group]] = {}
    for workflow, *group in connection.execute(select(*columns).order_by(topology.c.role_group)):
        groups.setdefault(workflow, []).append(_Group(*group))
    return groups


def newer(session: Session, than: int) -> Deployment | None:
    """Return what should run, if its version is above the given one."""
    version = session.connection.scalar(select(deployment.c.version))
    return read(session) if version is not None and version > than else None


def deploy(session: Session, expected: int, wanted: Sequence[DeployedWorkflow]) -> Deployment:
    """Deploy the workflows. A refusal comes before the first write."""
    found = session.connection.execute(
        session.dialect.lock_rows(select(deployment.c.version))
    ).scalar_one()
    if found != expected:
        raise DeploymentConflict(expected, found)
    _check(session.connection, wanted)
    session.connection.execute(update(deployment).values(version=expected + 1))
    session.notification.deployment = True
    _write_workflows(session, wanted)
    _write_statuses(session, wanted)
    _write_topology(session, wanted)
    return read(session)


def _check(connection: Connection, wanted: Sequence[DeployedWorkflow]) -> None:
    partitions = dict(connection.execute(select(workflows.c.name, workflows.c.partitions)).all())
    numbers = {
        (workflow, name): number
        for workflow, name, number in connection.execute(
            select(statuses.c.workflow, statuses.c.name, statuses.c.number)
        )
    }
    for workflow in wanted:
        stored = partitions.get(workflow.name, workflow.partitions)
        if stored != workflow.partitions:
            raise PartitionsChanged(workflow.name, stored, workflow.partitions)
        for name, number in workflow.statuses.items():
            stored = numbers.get((workflow.name, name), number)
            if stored != number:
                raise StatusRenumbered(workflow.name, name, stored, number)


def _write_workflows(session: Session, wanted: Sequence[DeployedWorkflow]) -> None:
    session.connection.execute(update(workflows).values(place=None))
    rows = [
        {
            "name": workflow.name,
            "place": place,
            "reference": workflow.reference,
            "python_path": msgspec.json.encode(workflow.python_path).decode(),
            "code": workflow.code,
            "partitions": workflow.partitions,
            "superseded": _stored(workflow.superseded),
            "paused": _stored(workflow.paused),
            "limits": _stored(workflow.limits),
            "shape": _stored(workflow.shape),
        }
        for place, workflow in enumerate(wanted)
    ]
    session.run(_put_workflow, rows)


KEPT = ("name", "partitions")
"""The columns of a workflow that stay as they were at its first deploy."""


def _put_workflow(dialect: Dialect) -> ClauseElement:
    changing = [column.name for column in workflows.c if column.name not in KEPT]
    return dialect.upsert(workflows, lambda _, new: {name: new[name] for name in changing})


def _write_statuses(session: Session, wanted: Sequence[DeployedWorkflow]) -> None:
    session.connection.execute(update(statuses).values(active=False))
    rows = [
        {"workflow": workflow.name, "name": name, "number": number, "active": True}
        for workflow in wanted
        for name, number in workflow.statuses.items()
    ]
    session.run(_put_status, rows)


def _put_status(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(statuses, lambda _, new: {"active": new.active})


def _write_topology(session: Session, wanted: Sequence[DeployedWorkflow]) -> None:
    """Write the groups and their shard counts. Groups that stay are changed in place, so that a
    transaction that waits to acquire a role finds its row again. The locks on these rows, which
    come before those on fences, hold off everybody who would acquire a role meanwhile.
    """
    before: dict[str, int] = dict(session.rows(_shards))
    after = {group: workflow.shards(group) for workflow in wanted for group in workflow.groups}
    kept = and_(
        topology.c.role_group.in_(list(after)),
        topology.c.workflow.in_([workflow.name for workflow in wanted]),
    )
    session.connection.execute(delete(topology).where(not_(kept)))
    rows = [
        {
            "role_group": group,
            "workflow": workflow.name,
            "shards": shards,
            "scaled": workflow.scaled.get(group),
            "draining": group in workflow.draining,
        }
        for workflow in wanted
        for group, shards in workflow.groups.items()
    ]
    session.run(_put_group, sorted(rows, key=itemgetter("role_group", "workflow")))
    roles.fence_off(
        session, {group for group, shards in before.items() if after.get(group) != shards}
    )


def _shards(dialect: Dialect) -> ClauseElement:
    return dialect.lock_rows(
        select(topology.c.role_group, roles.SHARDS).order_by(topology.c.role_group)
    )


def _put_group(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(
        topology, lambda _, new: {name: new[name] for name in ("shards", "scaled", "draining")}
    )
