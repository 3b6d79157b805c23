"""What processes tell each other by NOTIFY.

They do so after their commits, on a connection of their own: a transaction that notifies holds a
lock of the whole database until it is committed, so commits that notified would wait for each
other. What several commits tell in a short time goes out together.
"""

import asyncio
from uuid import uuid4

import msgspec

from workflow_ray_adapters.sql.notifications import ALL, Notification

LARGEST = 7_800
"""Bytes of a notification. PostgreSQL passes on fewer than 8,000, with who sends it."""


class Message(msgspec.Struct, omit_defaults=True):
    """What a process sends."""

    by: str
    told: msgspec.Raw = msgspec.Raw(b"{}")


class Channel:
    """What is to be sent, and what has come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_something = asyncio.Event()  # to be sent
        self._me = uuid4().hex
        self._outgoing = Notification()
        self._incoming = Notification()
        self._came = asyncio.Event()

    def tell(self, notification: Notification) -> None:
        if notification:
            self._outgoing.add(notification)
            self.has_something.set()

    def take(self) -> str:
        """What is to be sent now, as text."""
        outgoing, self._outgoing = self._outgoing, Notification()
        self.has_something.clear()
        return msgspec.json.encode(
            Message(self._me, msgspec.Raw(outgoing.encoded(LARGEST)))
        ).decode()

    def hear(self, _connection: object, _process: int, _channel: str, payload: str) -> None:
        """The driver's listener."""
        try:
            message = msgspec.json.decode(payload, type=Message)
            told = msgspec.json.decode(message.told, type=Notification)
        except msgspec.DecodeError:  # another version's
            self.note(Notification(unnamed=ALL))
        else:
            if message.by != self._me:
                self.note(told)

    def note(self, notification: Notification) -> None:
        """Pass it on as if another process had told it."""
        if notification:
            self._incoming.add(notification)
            self._came.set()

    async def heard(self, wait: float) -> Notification:
        """Wait for what others tell, up to `wait` seconds, and take all of it."""
        try:
            async with asyncio.timeout(wait):
                await self._came.wait()
        except TimeoutError:
            pass
        incoming, self._incoming = self._incoming, Notification()
        self._came.clear()
        return incoming
