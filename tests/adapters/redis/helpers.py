"""Helpers of the tests of the Redis adapter for roles and events."""

from workflow_ray.records import PUBLISHER, Fence, Received, Role
from workflow_ray.testing.conformance.runs import CREATED_TOPIC, START, deploy, workflow
from workflow_ray_adapters.redis.store import RedisStore


async def acquired(store: RedisStore, group: str = PUBLISHER) -> Fence:
    """Acquire the first role of a group, and deploy the group first if needed."""
    if (await store.deployment()).version == 0:
        await deploy(store, workflow())
    return await store.acquire(Role(group))


async def published(store: RedisStore) -> tuple[Received, ...]:
    """Return every event of the topic."""
    return (await store.receive(CREATED_TOPIC, START, reader="test", limit=10_000, wait=0)).events
