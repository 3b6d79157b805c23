"""Roles that processes share. By its heartbeats a process says that it lives, and what it holds is its own for as long as a lease.

Heartbeats are told one after another: each begins with a lock on the deployment's row, which also keeps shard counts as they are.
What to do is decided on fences as they are read then. Only those that it is about are locked, in the order that everybody keeps:
a heartbeat doesn't stop the writers of other processes. `take` and `release` may come in between, so they are looked at again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import ClauseElement, bindparam, delete, select, update

from workflow_ray.ports import assigned
from workflow_ray.records import Fence, Role, RoleName, Shared
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.roles import NO_LEASE
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values
from workflow_ray_adapters.sql.tables import deployment, fences, members, topology


@dataclass(frozen=True)
class Heartbeat:
    """What a process says of itself."""

    member: str
    roles: Sequence[Role]
    held: Sequence[Fence]
    now: int  # microseconds
    until: int


class _Row(NamedTuple):
    """Of the fences."""

    role: RoleName
    epoch: int
    clean: bool
    found_clean: bool | None
    holder: str | None
    lease_until: int | None


COLUMNS = tuple(fences.c[name] for name in _Row._fields)


def share(session: Session, beat: Heartbeat) -> Shared:
    session.rows(_serialised)
    deployed = _deployed(session)
    _join(session, beat)
    known = {row.role: row for row in map(_Row._make, session.rows(_known))}
    held = {fence.role: fence.epoch for fence in beat.held}
    kept = _kept(held, known, deployed)
    holders = _holders(known.values(), beat.now) | dict.fromkeys(kept, beat.member)
    target = assigned(_able(session, deployed), holders)
    mine = {role for role, player in target.items() if player == beat.member}
    free = [role.name for role in beat.roles if role.name in mine.difference(kept) and holders.get(role.name, beat.member) == beat.member]
    if kept or free:
        known |= {row.role: row for row in map(_Row._make, session.rows(_locked, roles=sorted({*kept, *free})))}
        kept = _kept(held, known, deployed)
    taken = [_taken(role, known.get(role), beat) for role in free]
    session.run(_hold, [_leased(row, beat) for row in sorted([*(known[role] for role in kept), *taken], key=lambda row: row.role)])
    session.notification.roles |= {row.role for row in taken}
    return Shared(
        acquired=tuple(Fence(row.role, row.epoch) for row in taken),
        lost=tuple(role for role in held if role not in deployed or role not in known or known[role].epoch != held[role]),
        surplus=tuple(role for role in kept if role not in mine),
    )


def leave(session: Session, member: str) -> None:
    session.execute(_forget, gone=member)
    session.execute(_let_go, gone=member)


def _kept(held: Mapping[RoleName, int], known: Mapping[RoleName, _Row], deployed: Collection[RoleName]) -> list[RoleName]:
    """What is the member's still: nobody has taken it since, and it wasn't released. Its lease may be over."""
    rows = {role: known[role] for role in held if role in deployed and role in known}
    return [role for role, row in rows.items() if row.epoch == held[role] and not row.clean]


def _holders(known: Iterable[_Row], now: int) -> dict[RoleName, str]:
    return {row.role: row.holder for row in known if row.holder is not None and row.lease_until is not None and row.lease_until > now}


def _taken(role: RoleName, row: _Row | None, beat: Heartbeat) -> _Row:
    """The role's new row. Where the answer to an earlier heartbeat was lost the role is the member's already, and stays as it was."""
    if row is None:
        return _Row(role, 1, False, True, beat.member, beat.until)
    if _holders([row], beat.now) == {role: beat.member}:
        return row
    return _Row(role, row.epoch + 1, False, row.clean, beat.member, beat.until)


def _leased(row: _Row, beat: Heartbeat) -> Values:
    return row._replace(holder=beat.member, lease_until=beat.until)._asdict()


# --- who there is, and what for ------------------------------------------------------------------


def _serialised(dialect: Dialect) -> ClauseElement:
    return dialect.locked(select(deployment.c.version))


def _deployed(session: Session) -> set[RoleName]:
    return {Role(group, shard, shards).name for group, shards in session.rows(_groups) for shard in range(1, shards + 1)}


def _groups(_: Dialect) -> ClauseElement:
    return select(topology.c.role_group, topology.c.shards)


def _join(session: Session, beat: Heartbeat) -> None:
    names = msgspec.json.encode([role.name for role in beat.roles]).decode()
    session.execute(_bury, now=beat.now)
    session.run(_live, [{"member": beat.member, "roles": names, "lives_until": beat.until}])


def _bury(_: Dialect) -> ClauseElement:
    return delete(members).where(members.c.lives_until <= bindparam("now"))


def _live(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(members, lambda _, new: {"roles": new.roles, "lives_until": new.lives_until})


def _able(session: Session, deployed: Collection[RoleName]) -> Mapping[RoleName, Sequence[str]]:
    able: dict[RoleName, list[str]] = {}
    for member, names in session.rows(_members):
        for role in msgspec.json.decode(names, type=list[RoleName]):
            if role in deployed:
                able.setdefault(role, []).append(member)
    return able


def _members(_: Dialect) -> ClauseElement:
    return select(members.c.member, members.c.roles)


# --- fences --------------------------------------------------------------------------------------


def _known(_: Dialect) -> ClauseElement:
    return select(*COLUMNS)


def _locked(dialect: Dialect) -> ClauseElement:
    return dialect.locked(select(*COLUMNS).where(dialect.among(fences.c.role, "roles")).order_by(fences.c.role))


def _hold(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(fences, lambda _, new: {name: new[name] for name in _Row._fields if name != "role"})


def _forget(_: Dialect) -> ClauseElement:
    return delete(members).where(members.c.member == bindparam("gone"))


def _let_go(_: Dialect) -> ClauseElement:
    return update(fences).where(fences.c.holder == bindparam("gone")).values(NO_LEASE)
