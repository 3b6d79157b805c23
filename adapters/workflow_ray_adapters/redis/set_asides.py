"""Entries that a group has set aside: as scripts take them, and as they are read."""

from typing import Any, TypeAlias

import msgspec

from workflow_ray.records import BATCH_DATA, NewSetAside, SetAside, SetAsideKey, SetAsideQuery
from workflow_ray_adapters.redis.rows import encode, microseconds, moment, numbers, seconds
from workflow_ray_adapters.redis.scripts import SET_ASIDES_OF
from workflow_ray_adapters.redis.server import Server

Plain: TypeAlias = list[Any]
LOOKED_AT = 2_000
"""The most entries that one script examines, because it delays all other callers meanwhile."""


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """What scripts do not look at of an entry. Fields are only added, with a default."""

    key: SetAsideKey
    event_id: str
    attempt: int
    error: str = ""


class Row(msgspec.Struct, frozen=True, array_like=True):
    set_aside_at: str
    changed_at: str
    due_at: str  # "": a dead letter
    body: Body


_rows = msgspec.json.Decoder(list[Row])


def name_of(key: SetAsideKey) -> str:
    """Return the name of an entry in its group, which sorts by partition, log, incarnation and
    offset.
    """
    return f"{key.partition:010}{key.log}\0{key.incarnation:020}{key.offset:020}"


def new_entry(new: NewSetAside, place: int) -> Plain:
    """Return the entry for the script, with the place of its event."""
    body = Body(key=new.key, event_id=new.event_id, attempt=new.attempt, error=new.error)
    return [
        new.key.group,
        name_of(new.key),
        str(new.key.partition),
        new.event_id,
        False if new.retry_in is None else microseconds(max(0.0, new.retry_in)),
        encode(body),
        place,
    ]


def taken_back(key: SetAsideKey) -> Plain:
    return [key.group, name_of(key)]


class Page(list[SetAside]):
    """A page of entries, and the seconds until the first of them is due."""

    due_in: float | None = None

    def is_due(self) -> bool:
        return self.due_in is not None and self.due_in <= 0


async def read(server: Server, now: str, query: SetAsideQuery) -> Page:
    """Return a page: what the first script finds that finds an entry."""
    kind = "due" if query.due else "dead" if query.dead else "all"
    after: str | bytes = name_of(query.after) if query.after and not query.due else ""
    # "," is a list without a number
    partitions = "" if query.partitions is None else numbers(query.partitions) or ","
    while True:
        rows, events, last, due_in = await server.call(
            SET_ASIDES_OF,
            now,
            query.group,
            kind,
            "" if query.event_id is None else query.event_id,
            partitions,
            after,
            query.limit,
            BATCH_DATA,
            LOOKED_AT,
        )
        page = Page(map(_entry, _rows.decode(rows), events))
        if page or not last:
            page.due_in = seconds(due_in)
            return page
        after = last


def _entry(row: Row, event: bytes) -> SetAside:
    body = row.body
    return SetAside(
        key=body.key,
        event_id=body.event_id,
        event=event,
        attempt=body.attempt,
        error=body.error,
        due_at=moment(row.due_at) if row.due_at else None,
        set_aside_at=moment(row.set_aside_at),
        changed_at=moment(row.changed_at),
    )
