"""Events as Kafka's messages: the run is the key, the rest is JSON, and headers are headers, where other tools look for trace context."""

import msgspec

from workflow_ray.records import Event, RunId, Topic, Version
from workflow_ray_adapters.kafka.wire import Message


class Body(msgspec.Struct, frozen=True):
    """Fields are only added, with a default: old code reads new events."""

    run_id: RunId
    version: Version
    status: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Body).decode


def encode(event: Event) -> Message:
    return Message(
        key=event.run_id.encode(),
        value=_encode(Body(event.run_id, event.version, event.status)),
        headers=[(name, value.encode()) for name, value in event.headers.items()],
    )


def decode(topic: Topic, message: Message) -> Event:
    """Raises ValueError: it is no event."""
    body = _decode(message.value or b"")
    headers = {name: value.decode() for name, value in message.headers if value is not None}
    return Event(run_id=body.run_id, topic=topic, partition=message.partition, version=body.version, status=body.status, headers=headers)
