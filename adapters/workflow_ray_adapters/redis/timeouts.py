"""Timeouts, by the status that waits for them."""

from collections.abc import Collection, Sequence
from datetime import datetime

from workflow_ray.records import RunId, Timeout, TimeoutKey, Version
from workflow_ray_adapters.redis.rows import BEGIN, DIGITS, MICROSECOND, moment, text
from workflow_ray_adapters.redis.scripts import COMPLETE_TIMEOUTS, CREATE_TIMEOUTS, DUE_TIMEOUTS
from workflow_ray_adapters.redis.server import Server


def lanes_of(workflow: str, status: int, partitions: Collection[int]) -> list[str]:
    return [f"{status:d}:{partition}:{workflow}" for partition in partitions]


async def create(server: Server, timeouts: Sequence[Timeout]) -> None:
    parts: list[str] = []
    for timeout in timeouts:
        parts += [*lanes_of(timeout.workflow, timeout.status, [timeout.partition]), text(timeout.due_at), _name(timeout.key)]
    await server.call(CREATE_TIMEOUTS, *parts)


async def complete(server: Server, keys: Sequence[TimeoutKey]) -> None:
    await server.call(COMPLETE_TIMEOUTS, DIGITS, *map(_name, keys))


async def due(
    server: Server, workflow: str, status: int, partitions: Sequence[int], now: datetime, limit: int
) -> tuple[list[Timeout], datetime | None]:
    """Those that are due, and when the next one gets due."""
    next_due, members = await server.call(DUE_TIMEOUTS, text(now), limit, *lanes_of(workflow, status, partitions))
    timeouts = [
        Timeout(key=key, workflow=workflow, status=status, partition=partition, due_at=due_at)
        for partition, of_lane in zip(partitions, members, strict=True)
        for due_at, key in map(_read, of_lane)
    ]
    timeouts.sort(key=lambda timeout: (timeout.due_at, timeout.key.run_id, timeout.key.visit, timeout.key.name))
    return timeouts[:limit], moment(next_due)


def _name(key: TimeoutKey) -> str:
    """Sorted as text, names are in the order of run, visit and name."""
    return f"{key.run_id}\0{key.visit:020}\0{key.name}"


def _read(member: bytes) -> tuple[datetime, TimeoutKey]:
    run_id, visit, name = member[DIGITS:].decode().split("\0", 2)
    return BEGIN + int(member[:DIGITS]) * MICROSECOND, TimeoutKey(RunId(run_id), Version(int(visit)), name)
