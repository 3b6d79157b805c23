"""How processes share roles: whoever isn't heard of until his time is over is gone, and so is what he held."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from workflow_ray.ports import assigned
from workflow_ray.records import Fence, Role, RoleName, Taken
from workflow_ray_adapters.redis.rows import Answer, encode
from workflow_ray_adapters.redis.server import pairs


class Member(msgspec.Struct, frozen=True):
    """Fields are only added, with a default."""

    able: list[RoleName]  # to play these
    until: datetime


class Lease(msgspec.Struct, frozen=True):
    """Fields are only added, with a default."""

    member: str
    until: datetime


@dataclass(frozen=True)
class Board:
    """What heartbeats go by, as it was when it was read."""

    count: bytes  # another one: it has changed
    members: Mapping[str, Member]
    leases: Mapping[RoleName, Lease]
    epochs: Mapping[RoleName, int]
    shards: Mapping[str, int]  # of each group that is deployed

    def current(self, role: Role | None) -> bool:
        return role is not None and role.shards == self.shards.get(role.group) and 1 <= role.shard <= role.shards


@dataclass(frozen=True)
class Plan:
    """What a heartbeat comes to."""

    lost: tuple[RoleName, ...]
    surplus: tuple[RoleName, ...]
    again: Sequence[Taken]  # the member has these, but wasn't told, or no longer plays them: it is told to be on guard
    fresh: Sequence[RoleName]  # to be taken
    changes: bytes  # as the script takes them


def board(answer: Answer) -> Board:
    count, members, leases, epochs, shards = answer
    return Board(
        count=count,
        members={name.decode(): _member.decode(member) for name, member in pairs(members)},
        leases={RoleName(role.decode()): _lease.decode(lease) for role, lease in pairs(leases)},
        epochs={RoleName(role.decode()): int(epoch) for role, epoch in pairs(epochs)},
        shards={group.decode(): int(shards) for group, shards in pairs(shards)},
    )


def plan(board: Board, member: str, roles: Sequence[Role], held: Sequence[Fence], now: datetime, until: datetime) -> Plan:
    """The member's heartbeat at `now`; its leases last `until` then."""
    kept = [fence.role for fence in held if board.epochs.get(fence.role) == fence.epoch and board.current(_named(fence.role))]
    me = Member([role.name for role in roles], until)
    members = {name: one for name, one in board.members.items() if one.until > now} | {member: me}
    holders = {role: lease.member for role, lease in board.leases.items() if lease.until > now} | dict.fromkeys(kept, member)
    mine = {role for role, one in assigned(_able(members, board), holders).items() if one == member}
    missing = [role for role in dict.fromkeys(me.able) if role in mine.difference(kept)]
    again = [role for role in missing if holders.get(role) == member]
    fresh = [role for role in missing if role not in holders]
    lease = encode(Lease(member, until))
    changes = (
        (member, encode(me)),
        [name for name in board.members if name not in members],
        [part for role in (*kept, *again) for part in (role, lease)],
        [role for role in board.leases if role not in holders],
        fresh,
        lease,
    )
    return Plan(
        lost=tuple(fence.role for fence in held if fence.role not in kept),
        surplus=tuple(role for role in kept if role not in mine),
        again=[Taken(Fence(role, board.epochs[role]), clean=False) for role in again],
        fresh=fresh,
        changes=msgspec.msgpack.encode(changes),
    )


def _able(members: Mapping[str, Member], board: Board) -> dict[RoleName, list[str]]:
    """Of each role that is to be played those that can."""
    able: dict[RoleName, list[str]] = {}
    for name, member in members.items():
        for role in member.able:
            able.setdefault(role, []).append(name)
    return {role: names for role, names in able.items() if board.current(_named(role))}


def _named(name: RoleName) -> Role | None:
    """The role of that name; None where it isn't one."""
    found = re.fullmatch(r"(.*)-(\d+)-of-(\d+)", name, re.DOTALL)
    return Role(found[1], int(found[2]), int(found[3])) if found else None


_member = msgspec.json.Decoder(Member)
_lease = msgspec.json.Decoder(Lease)
