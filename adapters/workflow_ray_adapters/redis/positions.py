"""Positions: how far each group has come, by partition."""

import msgspec

from workflow_ray.records import Fence, Position, RoleName
from workflow_ray_adapters.redis.scripts import POSITIONS_OF
from workflow_ray_adapters.redis.server import Server, pairs


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A position as Redis keeps it.

    Numbers are text, because Lua's are exact only up to 2^53. Fields are only added, with a
    default.
    """

    offset: str
    begun: str
    log: str
    incarnation: str
    in_use: str  # role, NUL and epoch; "": not in use
    trying: str  # JSON


_stored = msgspec.msgpack.Decoder(Stored)
_trying = msgspec.json.Decoder(tuple[int, ...])


def pack(position: Position) -> list[object]:
    """Return the position as scripts take it."""
    fence = position.in_use
    stored = Stored(
        offset=str(position.offset),
        begun=str(position.begun),
        log=position.log,
        incarnation=str(position.incarnation),
        in_use=f"{fence.role}\0{fence.epoch}" if fence else "",
        trying=msgspec.json.encode(position.trying).decode() if position.trying else "",
    )
    return [position.group, str(position.partition), stored]


async def read(server: Server, group: str) -> list[Position]:
    found = await server.call(POSITIONS_OF, group)
    return sorted(
        (
            _position(group, int(partition), _stored.decode(stored))
            for partition, stored in pairs(found)
        ),
        key=lambda position: position.partition,
    )


def _position(group: str, partition: int, stored: Stored) -> Position:
    return Position(
        group=group,
        partition=partition,
        offset=int(stored.offset),
        begun=int(stored.begun),
        trying=_trying.decode(stored.trying) if stored.trying else (),
        log=stored.log,
        incarnation=int(stored.incarnation),
        in_use=_fence(stored.in_use) if stored.in_use else None,
    )


def _fence(in_use: str) -> Fence:
    role, _, epoch = in_use.partition("\0")
    return Fence(RoleName(role), int(epoch))
