"""Payloads of tests, and how a codec is used."""

from collections.abc import Sequence

from workflow_ray.ports import Codec, Payload, Unreadable
from workflow_ray.records import RunId, new_run_id

RUN = new_run_id()


def payload(data: bytes, run_id: RunId = RUN, workflow: str = "orders") -> Payload:
    return Payload(workflow, run_id, "data", data)


async def encoded(codec: Codec, *payloads: Payload) -> list[Payload]:
    """Encode payloads, and return them as they are stored."""
    found = await codec.encode(payloads)
    return [
        each if data is None else each._replace(data=data)
        for each, data in zip(payloads, found, strict=True)
    ]


async def decoded(codec: Codec, payloads: Sequence[Payload]) -> list[bytes | Unreadable]:
    return await codec.decode(payloads)


async def read(codec: Codec, stored: Payload) -> bytes | Unreadable:
    (found,) = await codec.decode([stored])
    return found
