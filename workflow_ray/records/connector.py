"""What connectors bring in from outside."""

from datetime import datetime

import msgspec


class ConnectorEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A message of an outside log, as a connector's handler gets it.

    Fields are only added, with a default.
    """

    id: str  # the same whenever it is received again, and no other message's: an idempotency key
    key: str  # "" where the message has none; undecodable bytes are replaced
    data: bytes
    headers: dict[str, str] = {}
    partition: int
    offset: int
    at: datetime  # UTC: when it was written there
