"""Roles that several processes share. The heartbeat of a worker says that it lives and what it
holds; a role that it holds is its own for as long as a lease.

Heartbeats are serialised: each begins with a lock on the deployment's row, which also keeps shard
counts as they are. The fair share of a worker was decided before that. Only the fences that a
heartbeat concerns are locked, in the order that everybody keeps, so that it does not stop the
writers of other processes. `acquire` and `release` may come in between, so their rows are read
under those locks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import ClauseElement, bindparam, delete, select, update

from workflow_ray.ports import assigned
from workflow_ray.records import Fence, Role, RoleName, Shared
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.roles import NO_LEASE, SHARDS
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import deployment, fences, topology, workers


@dataclass(frozen=True)
class Heartbeat:
    """What a worker says about itself."""

    worker: str
    roles: Sequence[Role]
    held: Sequence[Fence]
    lease: float  # seconds


class _Row(NamedTuple):
    """A row of the fences."""

    role: RoleName
    epoch: int
    role_group: str | None
    holder: str | None
    lease_until: int | None


MICROSECONDS = 1_000_000
COLUMNS = tuple(fences.c[name] for name in _Row._fields)


def fair_share(session: Session, heartbeat: Heartbeat) -> set[RoleName]:
    """Return the roles that the worker should have now. This reads a snapshot, without a lock,
    because it takes long where there are thousands of roles.
    """
    held = {fence.role: fence.epoch for fence in heartbeat.held}
    known = {row.role: row for row in map(_Row._make, session.rows(_known))}
    holders = _holders(known.values(), session.now()) | dict.fromkeys(
        _kept(held, known), heartbeat.worker
    )
    target = assigned(_able(session, heartbeat), holders)
    return {role for role, worker in target.items() if worker == heartbeat.worker}


def share(session: Session, heartbeat: Heartbeat, mine: Collection[RoleName]) -> Shared:
    """Renew the leases of a worker, and acquire of its fair share, `mine`, what nobody holds."""
    session.rows_and_time(_serialised)
    now = session.now()
    until = now + round(heartbeat.lease * MICROSECONDS)
    _join(session, heartbeat, now, until)
    deployed = _deployed(session)
    held = {fence.role: fence.epoch for fence in heartbeat.held}
    wanted = [role for role in heartbeat.roles if role.name in mine and role.name in deployed]
    named = sorted({*held, *(role.name for role in wanted)})
    known = (
        {row.role: row for row in map(_Row._make, session.rows(_locked, roles=named))}
        if named
        else {}
    )
    kept = _kept(held, known)
    holders = _holders(known.values(), now)
    free = [
        role
        for role in wanted
        if role.name not in kept and holders.get(role.name, heartbeat.worker) == heartbeat.worker
    ]
    acquired = [_acquired(role, known.get(role.name), heartbeat.worker, now) for role in free]
    rows = sorted([*(known[role] for role in kept), *acquired], key=lambda row: row.role)
    session.run(
        _hold, [row._replace(holder=heartbeat.worker, lease_until=until)._asdict() for row in rows]
    )
    session.notification.roles |= {row.role for row in acquired}
    return Shared(
        acquired=tuple(Fence(row.role, row.epoch) for row in acquired),
        lost=tuple(role for role in held if role not in kept),
        surplus=tuple(role for role in kept if role not in mine),
    )


def leave(session: Session, worker: str) -> None:
    session.execute(_forget, gone=worker)
    session.execute(_let_go, gone=worker)


def _kept(held: Mapping[RoleName, int], known: Mapping[RoleName, _Row]) -> list[RoleName]:
    """Return what the worker still holds: nobody has acquired it since. Its lease may be over."""
    return [role for role, epoch in held.items() if role in known and known[role].epoch == epoch]


def _holders(known: Iterable[_Row], now: int) -> dict[RoleName, str]:
    return {
        row.role: row.holder
        for row in known
        if row.holder is not None and row.lease_until is not None and row.lease_until > now
    }


def _acquired(role: Role, row: _Row | None, worker: str, now: int) -> _Row:
    """Return the new row of the role. If the answer to an earlier heartbeat was lost, the worker
    has the role already, and the row stays as it was.
    """
    if row is None:
        return _Row(role.name, 1, role.group, worker, None)
    return (
        row
        if _holders([row], now) == {role.name: worker}
        else row._replace(epoch=row.epoch + 1, role_group=role.group)
    )


# --- who there is, and what for -----------------------------------------------------------------


def _serialised(dialect: Dialect) -> ClauseElement:
    return dialect.lock_rows(select(deployment.c.version, *dialect.clock()))


def _deployed(session: Session) -> set[RoleName]:
    return {
        Role(group, shard, shards).name
        for group, shards in session.rows(_groups)
        for shard in range(1, shards + 1)
    }


def _groups(_: Dialect) -> ClauseElement:
    return select(topology.c.role_group, SHARDS)


def _join(session: Session, heartbeat: Heartbeat, now: int, until: int) -> None:
    names = msgspec.json.encode([role.name for role in heartbeat.roles]).decode()
    session.execute(_forget_dead, now=now)
    session.run(_live, [{"worker": heartbeat.worker, "roles": names, "lives_until": until}])


def _forget_dead(_: Dialect) -> ClauseElement:
    return delete(workers).where(workers.c.lives_until <= bindparam("now"))


def _live(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(
        workers, lambda _, new: {"roles": new.roles, "lives_until": new.lives_until}
    )


def _able(session: Session, heartbeat: Heartbeat) -> Mapping[RoleName, Sequence[str]]:
    """Return for each deployed role the live workers that can run it. The sender of this heartbeat
    is one of them, with the roles that it names.
    """
    deployed = _deployed(session)
    workers = {
        worker: msgspec.json.decode(names, type=list[RoleName])
        for worker, names in session.rows(_workers, now=session.now())
    }
    workers[heartbeat.worker] = [role.name for role in heartbeat.roles]
    able: dict[RoleName, list[str]] = {}
    for worker, names in workers.items():
        for role in deployed.intersection(names):
            able.setdefault(role, []).append(worker)
    return able


def _workers(_: Dialect) -> ClauseElement:
    return select(workers.c.worker, workers.c.roles).where(workers.c.lives_until > bindparam("now"))


# --- fences -------------------------------------------------------------------------------------


def _known(_: Dialect) -> ClauseElement:
    return select(*COLUMNS)


def _locked(dialect: Dialect) -> ClauseElement:
    return dialect.lock_rows(
        select(*COLUMNS).where(dialect.among(fences.c.role, "roles")).order_by(fences.c.role)
    )


def _hold(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(
        fences, lambda _, new: {name: new[name] for name in _Row._fields if name != "role"}
    )


def _forget(_: Dialect) -> ClauseElement:
    return delete(workers).where(workers.c.worker == bindparam("gone"))


def _let_go(_: Dialect) -> ClauseElement:
    return update(fences).where(fences.c.holder == bindparam("gone")).values(NO_LEASE)
