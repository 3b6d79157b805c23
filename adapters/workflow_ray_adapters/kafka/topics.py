"""Topics, made with exactly the partitions that are asked for."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable, TopicMismatch
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.cluster import PAUSE, Cluster
from workflow_ray_adapters.kafka.offsets import ends


async def provide(cluster: Cluster, wanted: Mapping[str, int]) -> None:
    """Make those topics that aren't there, and wait until each partition of theirs can be used.

    Raises TopicMismatch: one is there with another number, and none was made; AccessDenied; StoreUnavailable; StoreError: the brokers
    refuse a topic.
    """
    made = set[str]()
    try:
        async with asyncio.timeout(cluster.address.timeout):
            while missing := await _missing(cluster, wanted):
                made |= missing.keys()
                if await _made(cluster, missing, try_only=True):  # a broker may not know of one that is there: then none is made
                    await _made(cluster, missing)
                await asyncio.sleep(PAUSE)
            for topic in made:
                await _led(cluster, topic)
    except TimeoutError as error:
        raise StoreUnavailable(cluster.where, "its topics aren't ready in time. Try again; if it goes on, look at its brokers.") from error


async def _led(cluster: Cluster, topic: str) -> None:
    """Wait until each partition can be used: its leader may be the last to know that it is. Longer than for a change of leaders."""
    while True:
        with suppress(StoreUnavailable):
            await ends(cluster, topic, cluster.partitions(topic))
            return


async def _missing(cluster: Cluster, wanted: Mapping[str, int]) -> dict[str, int]:
    await cluster.learn(wanted)
    found = {topic: len(cluster.partitions(topic)) for topic in wanted}
    if unfit := [topic for topic in wanted if found[topic] not in (0, wanted[topic])]:
        counts = "; ".join(f"topic {topic} has {found[topic]} partitions, and {wanted[topic]} are needed" for topic in unfit)
        advice = "Delete it, if nothing needs its events, or name another prefix in the URL, as in kafka://host:9092/prefix."
        raise TopicMismatch(cluster.where, f"{counts}. {advice}")
    return {topic: wanted[topic] for topic in wanted if not found[topic]}


async def _made(cluster: Cluster, missing: Mapping[str, int], *, try_only: bool = False) -> bool:
    """False: some are there by now, or it is to be tried again. Raises AccessDenied; StoreError: that is in vain."""
    seconds = cluster.address.timeout
    call = wire.create_topics(missing, replication=cluster.address.replication, seconds=seconds, try_only=try_only)
    faults = await cluster.ask(cluster.controller, call)
    for topic, (fault, said) in faults.items():
        if fault.code in wire.DENIED:
            raise AccessDenied(cluster.where, f"topic {topic} can't be made ({said}). Let this user create topics, or make it for him.")
        if fault.code != wire.TOPIC_EXISTS and not fault.retriable:
            raise StoreError(cluster.where, f"topic {topic} can't be made: {said}")
    return not faults
