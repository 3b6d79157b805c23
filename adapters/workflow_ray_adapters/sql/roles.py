"""Who holds a role. A fence row is never deleted, and its epoch never goes back."""

from collections.abc import Collection, Mapping

from sqlalchemy import ClauseElement, insert, null, select, update

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.records import Fence, Role, RoleName
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import fences, topology

NO_LEASE = {"holder": null(), "lease_until": null()}


def epochs(session: Session, roles: Collection[RoleName]) -> Mapping[RoleName, int]:
    """The newest epoch of each role that was ever taken. In a writing transaction none of them changes before its end."""
    return dict(session.rows(_epochs, roles=sorted(roles))) if roles else {}


def _epochs(dialect: Dialect) -> ClauseElement:
    query = select(fences.c.role, fences.c.epoch).where(dialect.among(fences.c.role, "roles"))
    return dialect.locked(query.order_by(fences.c.role), shared=True)


def check(fence: Fence, current: Mapping[RoleName, int]) -> None:
    """Raises RoleLost."""
    if (epoch := current.get(fence.role, 0)) != fence.epoch:
        raise RoleLost(fence.role, fence.epoch, epoch)


def acquire(session: Session, role: Role) -> Fence:
    """Raise the role's epoch, while its group's shard count can't change."""
    connection, dialect = session.connection, session.dialect
    session.notification.roles.add(role.name)
    shards: int | None = connection.scalar(
        dialect.locked(select(topology.c.shards).where(topology.c.role_group == role.group), shared=True)
    )
    if role.shards != shards or not 1 <= role.shard <= role.shards:
        raise RoleRetired(role.name, shards)
    held = connection.execute(dialect.locked(select(fences.c.epoch, fences.c.clean).where(fences.c.role == role.name))).one_or_none()
    if held is None:
        connection.execute(insert(fences).values(role=role.name, epoch=1, clean=False))
        return Fence(role.name, 1)
    epoch, _ = held
    connection.execute(update(fences).where(fences.c.role == role.name).values(epoch=epoch + 1, clean=False, **NO_LEASE))
    return Fence(role.name, epoch + 1)


def release(session: Session, fence: Fence) -> None:
    """Note that the holder left nothing in doubt; nothing where it holds the role no more."""
    held = (fences.c.role == fence.role, fences.c.epoch == fence.epoch)
    session.connection.execute(update(fences).where(*held).values(clean=True, **NO_LEASE))
