"""Encodes events as Kafka's messages.

The run is the key, and the rest is JSON. Headers are headers, where other tools look for trace
context.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from workflow_ray.records import Event, RunId, Topic, Version


class Message(NamedTuple):
    """A message as it is sent."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Record(Protocol):
    """A message as it is read: the fields of aiokafka's ConsumerRecord that are used."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970; -1: it has none."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Body(msgspec.Struct, frozen=True):
    """The value of a message.

    Fields are only added, with a default, so that old code reads new events.
    """

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
    """Decode a message.

    Raises ValueError: it is not an event.
    """
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
