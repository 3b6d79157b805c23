"""Topics and events for the cases of streams."""

from collections.abc import Iterable

from workflow_ray.ports import EventStreamer
from workflow_ray.records import Event, RunId, Topic, Version, new_run_id
from workflow_ray.testing.conformance.runs import (
    CREATED,
    CREATED_TOPIC,
    PARTITIONS,
)

OTHER_TOPIC, NEW_TOPIC = Topic("orders-2"), Topic("orders-3")
TOPICS = {CREATED_TOPIC: PARTITIONS, OTHER_TOPIC: PARTITIONS}


async def sent(
    store: EventStreamer, partitions: list[int], *, topic: Topic = CREATED_TOPIC
) -> list[Event]:
    """Send an event to each of the partitions, in that order, in one call."""
    events = [
        Event(
            run_id=new_run_id(),
            topic=topic,
            partition=partition,
            version=Version(1),
            status=CREATED,
        )
        for partition in partitions
    ]
    await store.send(events)
    return events


def keys(events: Iterable[Event]) -> list[tuple[RunId, Version]]:
    return sorted((event.run_id, event.version) for event in events)
