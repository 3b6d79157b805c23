"""What processes send each other with NOTIFY. They send it after their commits, on a connection of
their own: a transaction that notifies holds a lock of the whole database while it commits, so
commits that notified would wait for each other. Only an application's transactions do that. The
notifications of several commits within a short time are sent together.
"""

import asyncio
from uuid import uuid4

import msgspec

from workflow_ray_adapters.sql.notifications import ALL, Notification

LARGEST = 7_800
"""The largest size of a notification, in bytes. PostgreSQL passes on fewer than 8,000, with the
sender.
"""


class Message(msgspec.Struct, omit_defaults=True):
    """What a process sends."""

    by: str
    # named as earlier versions send it
    notification: msgspec.Raw = msgspec.field(name="told", default=msgspec.Raw(b"{}"))


def channel_of(store_id: str) -> str:
    """Return the name of the channel that the processes of a store listen to."""
    return f"workflow_ray_{store_id}"


def encode(by: str, notification: Notification) -> str:
    """Return a notification as it is sent. The process named does not receive it."""
    return msgspec.json.encode(Message(by, msgspec.Raw(notification.encode(LARGEST)))).decode()


class Channel:
    """What is to be sent, and what was received."""

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
        """Remove what is to be sent now, and return it as text."""
        outgoing, self._outgoing = self._outgoing, Notification()
        self.has_something.clear()
        return encode(self._me, outgoing)

    def hear(self, _connection: object, _process: int, _channel: str, payload: str) -> None:
        """Receive a notification, as the driver's listener."""
        try:
            message = msgspec.json.decode(payload, type=Message)
            notification = msgspec.json.decode(message.notification, type=Notification)
        except msgspec.DecodeError:  # it is of another version
            self.note(Notification(unnamed=ALL))
        else:
            if message.by != self._me:
                self.note(notification)

    def note(self, notification: Notification) -> None:
        """Pass on the notification as if another process had sent it."""
        if notification:
            self._incoming.add(notification)
            self._came.set()

    async def receive_others(self, wait: float) -> Notification:
        """Wait for notifications of others, up to `wait` seconds, and take all of them."""
        try:
            async with asyncio.timeout(wait):
                await self._came.wait()
        except TimeoutError:
            pass
        incoming, self._incoming = self._incoming, Notification()
        self._came.clear()
        return incoming
