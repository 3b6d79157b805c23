"""The entries of events that a deliverer sets aside."""

import msgspec

from workflow_ray.records import MAX_DATA, NewSetAside, SetAsideEvent
from workflow_ray.roles.delivery import Delivery, E

ENCODING = 1024
"""Bytes that a codec may add to an event."""

_encode = msgspec.json.Encoder().encode


def entry_of(
    delivery: Delivery[E],
    packed: SetAsideEvent,
    *,
    attempt: int,
    error: str,
    retry_in: float | None,
) -> NewSetAside:
    """Make the entry of a delivery. If its event is too large to be kept, the entry is a dead
    letter without the event's data: no store would take it otherwise, and the role would fail with
    the same event for ever.

    Args:
        delivery: It is to be set aside, or its entry changes.
        packed: The event, as the log packs it.
        attempt: The failed attempts so far.
        error: Of the last one.
        retry_in: The seconds until the next attempt. None: a dead letter.
    """
    event = _encode(packed)
    if len(event) > MAX_DATA - ENCODING and packed.connector is not None:
        size = len(packed.connector.data)
        smaller = msgspec.structs.replace(packed.connector, data=b"", headers={})
        event = _encode(msgspec.structs.replace(packed, connector=smaller, left_out=size))
        error = (
            f"{error}{'; ' if error else ''}the event can't be kept for another attempt: it is"
            f" larger than {MAX_DATA} bytes as JSON, with {size} bytes of data, which are left out"
        )
        retry_in = None
    return NewSetAside(
        key=delivery.key,
        event_id=delivery.item.id,
        event=event,
        attempt=attempt,
        error=error,
        retry_in=retry_in,
    )
