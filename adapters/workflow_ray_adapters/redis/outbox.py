"""Events committed with their records and not yet published."""

from collections.abc import Sequence
from datetime import datetime

from workflow_ray.records import Fence, OutboxEntry, Topic
from workflow_ray_adapters.redis.roles import lost
from workflow_ray_adapters.redis.rows import moment, text, to_entries
from workflow_ray_adapters.redis.scripts import MOVE, PENDING, PUBLISHED
from workflow_ray_adapters.redis.server import Server


async def pending(
    server: Server, fence: Fence, now: datetime, limit: int, without: Sequence[tuple[Topic, int]]
) -> tuple[list[OutboxEntry], datetime | None]:
    """Entries that are due, those of `without` left out; and when the next one gets due."""
    lanes = [f"{partition}:{topic}" for topic, partition in without]
    answer = await server.call(PENDING, fence.role, fence.epoch, text(now), limit, *lanes)
    if refusal := lost(fence, answer):
        raise refusal
    return to_entries(answer), moment(answer[2])


async def published(server: Server, fence: Fence, ids: Sequence[int]) -> None:
    if refusal := lost(fence, await server.call(PUBLISHED, fence.role, fence.epoch, *ids)):
        raise refusal


async def move(server: Server, fence: Fence, now: datetime, limit: int, retained: str) -> tuple[int, datetime | None]:
    """How many were moved, and when the next one gets due."""
    answer = await server.call(MOVE, fence.role, fence.epoch, text(now), limit, retained)
    if refusal := lost(fence, answer):
        raise refusal
    return answer[0], moment(answer[1])
