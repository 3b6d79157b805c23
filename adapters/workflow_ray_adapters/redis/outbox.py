"""The outbox: events that were committed and are not yet published."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from workflow_ray.records import Fence, OutboxEntry, Topic
from workflow_ray_adapters.redis.outbox_rows import to_entries
from workflow_ray_adapters.redis.roles import lost
from workflow_ray_adapters.redis.rows import seconds
from workflow_ray_adapters.redis.scripts import MOVE, PENDING, PUBLISHED
from workflow_ray_adapters.redis.server import Server

_turns = count()
"""Alternates whether the odd entry of an answer is an immediate or a delayed one."""


@dataclass(frozen=True)
class Pending:
    """What a publisher asks for."""

    limit: int
    # topics and partitions to leave out; no timeout is left out
    without: Sequence[tuple[Topic, int]] = ()
    timeouts_only: bool = False


async def pending(
    server: Server, fence: Fence, now: str, asked: Pending
) -> tuple[list[OutboxEntry], float | None]:
    """Return the entries that are due, and the seconds until the next one is."""
    without = [f"{partition}:{topic}" for topic, partition in asked.without]
    only = "1" if asked.timeouts_only else ""
    answer = await server.call(
        PENDING, fence.role, fence.epoch, now, asked.limit, next(_turns), only, *without
    )
    if refusal := lost(fence, answer):
        raise refusal
    return to_entries(answer), seconds(answer[2])


async def published(server: Server, fence: Fence, ids: Sequence[int]) -> None:
    if refusal := lost(fence, await server.call(PUBLISHED, fence.role, fence.epoch, *ids)):
        raise refusal


async def move(server: Server, fence: Fence, now: str, limit: int) -> tuple[int, float | None]:
    """Return how many events were moved, and the seconds until the next one is due."""
    answer = await server.call(MOVE, fence.role, fence.epoch, now, limit, next(_turns))
    if refusal := lost(fence, answer):
        raise refusal
    return answer[0], seconds(answer[1])
