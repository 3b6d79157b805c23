"""Timeouts, by the status that waits for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from workflow_ray.records import RunId, Timeout, TimeoutKey, Version
from workflow_ray_adapters.redis.rows import DIGITS, microseconds, moment, seconds, text
from workflow_ray_adapters.redis.scripts import (
    COMPLETE_TIMEOUTS,
    CREATE_TIMEOUTS,
    DUE_TIMEOUTS,
    TRIM_TIMEOUTS,
)
from workflow_ray_adapters.redis.server import Server


@dataclass(frozen=True)
class Due:
    """What a timeout role asks for."""

    workflow: str
    status: int
    partitions: Sequence[int]
    limit: int
    after: Timeout | None = None


def queues_of(workflow: str, status: int, partitions: Collection[int]) -> list[str]:
    return [f"{status:d}:{partition}:{workflow}" for partition in partitions]


def name_of(key: TimeoutKey) -> str:
    """Return the name of a timeout, which sorts by run, visit and name."""
    return f"{key.run_id}\0{key.visit:020}\0{key.name}"


async def create(server: Server, timeouts: Sequence[Timeout]) -> None:
    parts: list[str] = []
    for timeout in timeouts:
        parts += [
            *queues_of(timeout.workflow, timeout.status, [timeout.partition]),
            text(timeout.due_at),
            name_of(timeout.key),
        ]
    await server.call(CREATE_TIMEOUTS, *parts)


async def complete(server: Server, now: str, keys: Sequence[TimeoutKey]) -> None:
    await server.call(COMPLETE_TIMEOUTS, now, *map(name_of, keys))


async def trim(server: Server, now: str, completed: float, limit: int) -> int:
    return int(await server.call(TRIM_TIMEOUTS, now, microseconds(completed), limit))


async def due(server: Server, now: str, asked: Due) -> tuple[list[Timeout], float | None]:
    """Return the timeouts that are due, and the seconds until the next one is."""
    after = text(asked.after.due_at) + name_of(asked.after.key) if asked.after else ""
    queues = queues_of(asked.workflow, asked.status, asked.partitions)
    next_due, members = await server.call(DUE_TIMEOUTS, now, asked.limit, after, *queues)
    timeouts = [
        _timeout(asked, partition, member)
        for partition, of_queue in zip(asked.partitions, members, strict=True)
        for member in of_queue
    ]
    timeouts.sort(
        key=lambda timeout: (
            timeout.due_at,
            timeout.key.run_id,
            timeout.key.visit,
            timeout.key.name,
        )
    )
    return timeouts[: asked.limit], seconds(next_due)


def _timeout(asked: Due, partition: int, member: bytes) -> Timeout:
    run_id, visit, name = member[DIGITS:].decode().split("\0", 2)
    key = TimeoutKey(RunId(run_id), Version(int(visit)), name)
    return Timeout(
        key=key,
        workflow=asked.workflow,
        status=asked.status,
        partition=partition,
        due_at=moment(member[:DIGITS]),
    )
