"""Ends of a connection that can stop reading, and large records for them."""

import asyncio
from typing import Any

from msgspec.structs import replace

from tests.unit.runtime.ipc.cases import RECORD
from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import Record
from workflow_ray.runtime.ipc.frames import Frame, Kind, Wire
from workflow_ray.runtime.ipc.methods import METHODS

MIB = 1024 * 1024
MANY = 100
LARGE = "1 MiB"


def record(size: int) -> Record:
    """Make a record with `size` bytes of data."""
    return replace(RECORD, data=bytes(size))


class Peer(Wire):
    """One end of a connection that can stop reading."""

    def __init__(self, *, reads: bool = True) -> None:
        self.frames: list[Frame] = []
        self.transport: asyncio.Transport | None = None
        self._reads = reads
        super().__init__(self.frames.append, lambda _: None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        super().connection_made(transport)
        if not self._reads:
            self.stop_reading()

    def stop_reading(self) -> None:
        assert self.transport is not None
        self.transport.pause_reading()

    def read_again(self) -> None:
        assert self.transport is not None
        self.transport.resume_reading()

    @property
    def calls(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind is Kind.CALL]

    def ask(self, number: int, method: str, *args: Any, **named: Any) -> None:
        self.send(
            Frame(
                Kind.CALL,
                number,
                method,
                METHODS[method].request(METHODS[method].arguments(*args, **named)),
            )
        )

    def outcome(self, method: str, number: int) -> Any:
        """Return the answer to the request: LARGE for the large record, or an error."""
        (body,) = (frame.body for frame in self.frames if frame.request == number)
        try:
            answer = METHODS[method].result(body)
        except StoreUnavailable as error:
            return error
        return LARGE if answer == [record(MIB)] else answer


async def turns(count: int = 50) -> None:
    """Let the event loop turn `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)
