"""Where partitions begin and end."""

import asyncio
from collections.abc import Collection, Mapping

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.wire import Fault


async def firsts(cluster: Cluster, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Of each the first offset that is there. Raises StoreUnavailable where one can't be told."""
    return await _told(cluster, topic, partitions, wire.EARLIEST)


async def ends(cluster: Cluster, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Of each the offset that its next message gets. Raises StoreUnavailable where one can't be told."""
    return await _told(cluster, topic, partitions, wire.LATEST)


async def lag(cluster: Cluster, topic: str, offsets: Mapping[int, int]) -> int:
    """How many messages are at or after the offsets. Raises StoreUnavailable where one can't be told."""
    begin, end = await asyncio.gather(firsts(cluster, topic, offsets), ends(cluster, topic, offsets))
    return sum(max(end[partition] - max(offset, begin[partition]), 0) for partition, offset in offsets.items())


async def _told(cluster: Cluster, topic: str, partitions: Collection[int], when: int) -> dict[int, int]:
    async def told() -> dict[int, int]:
        found, faults = await _asked(cluster, topic, partitions, when)
        for why in faults.values():
            await cluster.learn([topic])
            raise StoreUnavailable(cluster.where, why)
        return found

    return await cluster.settled(told)


async def _asked(cluster: Cluster, topic: str, partitions: Collection[int], when: int) -> tuple[dict[int, int], dict[int, str]]:
    """What the leaders tell, and why the others don't."""
    led, faults = cluster.by_leader(topic, partitions)
    calls = (cluster.ask(node, wire.offsets_at(topic, led[node], when)) for node in led)
    told = dict[int, int]()
    for node, answer in zip(led, await asyncio.gather(*calls, return_exceptions=True), strict=True):
        if isinstance(answer, AccessDenied) or (isinstance(answer, BaseException) and not isinstance(answer, StoreError)):
            raise answer
        if isinstance(answer, StoreError):
            faults |= dict.fromkeys(led[node], answer.why)
        else:
            told |= {partition: found for partition, found in answer.items() if isinstance(found, int)}
            faults |= {partition: found.why for partition, found in answer.items() if isinstance(found, Fault)}
    return told, faults
