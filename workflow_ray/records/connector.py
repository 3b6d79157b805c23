"""The messages that connectors receive from outside."""

from datetime import datetime

import msgspec


class ConnectorEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A message of an outside log, as a connector's handler gets it.

    New fields have a default.
    """

    id: str  # unique, and the same whenever the message is received again: an idempotency key
    key: str  # "" if the message has none; bytes that can't be decoded are replaced
    data: bytes
    headers: dict[str, str] = {}
    partition: int
    offset: int
    at: datetime  # UTC: when the message was written to the log
