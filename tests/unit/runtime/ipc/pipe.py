"""A connection's end without a connection: what it writes is kept, and what it reads is given."""

import asyncio

from workflow_ray.runtime.ipc.frames import Frame, Wire


class Pipe(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class End:
    """A Wire on a Pipe, with the frames that it receives and the reasons why it ended."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.reasons: list[str] = []
        self.pipe = Pipe()
        self.wire = Wire(self.frames.append, self.reasons.append)
        self.wire.connection_made(self.pipe)

    def read(self, data: bytes) -> None:
        """Do what the event loop does with bytes that arrive."""
        while data:
            room = self.wire.get_buffer(-1)
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self.wire.buffer_updated(count)
            data = data[count:]


async def written(*frames: Frame) -> list[bytes]:
    """Send the frames in one turn of the loop, and return the writes that they make."""
    end = End()
    for frame in frames:
        end.wire.send(frame)
    await asyncio.sleep(0)
    return end.pipe.writes
