"""Events as Kafka's messages: the run is the key, the rest is JSON, and headers are headers, where
other tools look for trace context.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from workflow_ray.records import Event, RunId, Topic, Version


class Message(NamedTuple):
    """As it is sent."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Record(Protocol):
    """As it is read: what of aiokafka's ConsumerRecord is looked at."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970; -1 where there is none."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


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


def decode(topic: Topic, record: Record) -> Event:
    """Raises ValueError: it is not an event."""
    body = _decode(record.value or b"")
    headers = {name: value.decode() for name, value in record.headers if value is not None}
    return Event(
        run_id=body.run_id,
        topic=topic,
        partition=record.partition,
        version=body.version,
        status=body.status,
        headers=headers,
    )
