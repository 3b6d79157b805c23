"""Events for the tests of the Kafka adapter."""

from collections.abc import Iterable

from workflow_ray.ports import EventStreamer
from workflow_ray.records import Event, Received, RunId, Topic, Version, new_run_id
from workflow_ray.testing.conformance.runs import receive

ORDERS = Topic("orders-1")


def event(partition: int = 0, *, topic: Topic = ORDERS) -> Event:
    return Event(
        run_id=new_run_id(), topic=topic, partition=partition, version=Version(1), status=1
    )


def runs(received: Iterable[Received]) -> list[RunId]:
    return [item.event.run_id for item in received]


async def sent(streamer: EventStreamer, *partitions: int) -> list[RunId]:
    """Send an event to each partition, in one call."""
    events = [event(partition) for partition in partitions]
    await streamer.send(events)
    return [one.run_id for one in events]


async def everything(streamer: EventStreamer, partitions: int) -> list[RunId]:
    """Return every event from the first offset on."""
    offsets, found = dict.fromkeys(range(partitions), 0), list[RunId]()
    while received := await receive(streamer, ORDERS, offsets, limit=1000, wait=0):
        offsets |= {item.event.partition: item.offset + 1 for item in received}
        found += runs(received)
    return found
