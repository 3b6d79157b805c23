"""The runs that flow control orders at a status."""

import msgspec

from workflow_ray.records import Parked, ParkedKey, ParkedQuery, ParkedRun, Parking, RunId, Write
from workflow_ray_adapters.redis.rows import moment
from workflow_ray_adapters.redis.scripts import PARKED
from workflow_ray_adapters.redis.server import Server


class KeyRow(msgspec.Struct, frozen=True, array_like=True):
    key: str
    admitted: int
    parked: tuple[tuple[RunId, int], ...]


_keys = msgspec.json.Decoder(list[KeyRow])


def place_of(write: Write) -> str | bool:
    """Return where the write puts its run, for scripts. False: flow control does not order it."""
    parking: Parking | None = write.parking
    if parking is None:
        return False
    return f"{write.parked:d} {parking.priority} {parking.key}"


def queue_of(query: ParkedQuery) -> str:
    return f"{query.status:d}:{query.workflow}"


def topic_of(query: ParkedQuery) -> str:
    """Return the name that is notified when something changes at the status."""
    return f"parking:{queue_of(query)}"


async def read(server: Server, now: str, query: ParkedQuery) -> Parked:
    begin = "-" if query.after is None else f"({query.after}"
    rows, _, time, change, admitted, more = await server.call(
        PARKED, now, queue_of(query), begin, query.keys, query.per_key
    )
    return Parked(
        keys=tuple([_key(row) for row in _keys.decode(rows)]),
        admitted=admitted,
        more=bool(more),
        change=int(change),
        now=moment(time),
    )


def _key(row: KeyRow) -> ParkedKey:
    return ParkedKey(
        key=row.key,
        admitted=row.admitted,
        parked=tuple(
            [ParkedRun(run_id=run_id, priority=priority) for run_id, priority in row.parked]
        ),
    )
