"""Acquire and release roles. A fence row is never deleted, and its epoch never goes back."""

from collections.abc import Collection, Mapping

from sqlalchemy import ClauseElement, bindparam, func, insert, null, select, update

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.records import Fence, Role, RoleName
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import positions
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import fences, topology

NO_LEASE = {"holder": null(), "lease_until": null()}
SHARDS = func.coalesce(topology.c.scaled, topology.c.shards)
"""The number of shards of a group."""


def epochs(session: Session, roles: Collection[RoleName]) -> Mapping[RoleName, int]:
    """Return the newest epoch of each role that was ever acquired. In a writing transaction none of
    them changes before its end.
    """
    return dict(session.rows_and_time(_epochs, roles=sorted(roles))) if roles else {}


def _epochs(dialect: Dialect) -> ClauseElement:
    query = select(fences.c.role, fences.c.epoch, *dialect.clock()).where(
        dialect.among(fences.c.role, "roles")
    )
    return dialect.lock_rows(query.order_by(fences.c.role), shared=True)


def check(fence: Fence, current: Mapping[RoleName, int]) -> None:
    """Raise RoleLost unless the fence has the current epoch."""
    if (epoch := current.get(fence.role, 0)) != fence.epoch:
        raise RoleLost(fence.role, fence.epoch, epoch)


def acquire(session: Session, role: Role) -> Fence:
    """Raise the epoch of the role, while the shard count of its group cannot change."""
    connection, dialect = session.connection, session.dialect
    shards: int | None = connection.scalar(
        dialect.lock_rows(select(SHARDS).where(topology.c.role_group == role.group), shared=True)
    )
    if role.shards != shards or not 1 <= role.shard <= role.shards:
        raise RoleRetired(role.name, shards)
    session.notification.roles.add(role.name)
    held: int | None = connection.scalar(
        dialect.lock_rows(select(fences.c.epoch).where(fences.c.role == role.name))
    )
    if held is None:
        connection.execute(insert(fences).values(role=role.name, epoch=1, role_group=role.group))
        return Fence(role.name, 1)
    connection.execute(
        update(fences)
        .where(fences.c.role == role.name)
        .values(epoch=held + 1, role_group=role.group, **NO_LEASE)
    )
    return Fence(role.name, held + 1)


def fence_off(session: Session, groups: Collection[str]) -> None:
    """Raise the epoch of every role of the groups that was ever acquired."""
    found: list[RoleName] = (
        [role for (role,) in session.rows(_of_groups, groups=sorted(groups))] if groups else []
    )
    if found:
        session.execute(_fence_off, roles=found)
        session.notification.roles |= set(found)


def _of_groups(dialect: Dialect) -> ClauseElement:
    return dialect.lock_rows(
        select(fences.c.role)
        .where(dialect.among(fences.c.role_group, "groups"))
        .order_by(fences.c.role)
    )


def _fence_off(dialect: Dialect) -> ClauseElement:
    return (
        update(fences)
        .where(dialect.among(fences.c.role, "roles"))
        .values(epoch=fences.c.epoch + 1, **NO_LEASE)
    )


def release(session: Session, fence: Fence) -> None:
    """End the holder's lease, if it still holds the role, and note in any case that it has nothing
    in hand.
    """
    session.execute(_end_lease, of_role=fence.role, of_epoch=fence.epoch)
    for (group,) in session.rows(_group_of, role=fence.role):
        session.execute(_release_positions, of_role=fence.role, of_epoch=fence.epoch, group=group)


def _end_lease(_: Dialect) -> ClauseElement:
    return (
        update(fences)
        .where(fences.c.role == bindparam("of_role"), fences.c.epoch == bindparam("of_epoch"))
        .values(NO_LEASE)
    )


def _group_of(_: Dialect) -> ClauseElement:
    return select(fences.c.role_group).where(fences.c.role == bindparam("role"))


def _release_positions(_: Dialect) -> ClauseElement:
    held = (
        positions.c.in_use_role == bindparam("of_role"),
        positions.c.in_use_epoch == bindparam("of_epoch"),
    )
    return (
        update(positions)
        .where(positions.c.role_group == bindparam("group"), *held)
        .values(in_use_role=null(), in_use_epoch=null())
    )
