"""The open streams of a connector."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain
from typing import Any, TypeAlias

from redis.exceptions import ResponseError

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock, SourceReader
from workflow_ray.records import BATCH_DATA, ConnectorEvent
from workflow_ray_adapters.redis.address import ANSWERING, Address
from workflow_ray_adapters.redis.faults import translate_errors
from workflow_ray_adapters.redis.server import Server, connect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEQUENCE_BITS = 21
"""The bits of an offset that hold the second number of an entry's id. The first has 42 bits."""
LARGEST = 2**64 - 1
"""The largest second number of an id."""
PAGE = 16
"""The entries of a stream that are read at once, because each may have some MiB of data."""
COUNTED = 1000
"""The entries that are counted at once."""
LONGEST_NAMES = 500
"""The most characters of the names of streams that the source's id has. Stores hold 1000 of it."""
BLOCK = 5.0
"""The seconds that one call waits for the next entry."""

Entry: TypeAlias = tuple[bytes, dict[bytes, bytes]]


@dataclass(frozen=True)
class Fields:
    """The fields of an entry that are the event's key and data."""

    key: bytes
    data: bytes


@asynccontextmanager
async def open_source(
    address: Address, streams: Sequence[str], fields: Fields, clock: Clock
) -> AsyncGenerator[SourceReader]:
    """Open the streams. Raises InvalidInput: a file that the URL names can't be read."""
    async with connect(address, "") as server:
        yield RedisSourceReader(server, streams, fields, clock)


class RedisSourceReader:
    """A SourceReader. An offset is the id of an entry as one number."""

    def __init__(
        self, server: Server, streams: Sequence[str], fields: Fields, clock: Clock
    ) -> None:
        self._server = server
        self._streams = streams
        self._fields = fields
        self._clock = clock
        address = server.address
        self._place = f"{address.host}:{address.port}/{address.db}"

    @property
    def source_id(self) -> str:
        streams = ",".join(self._streams)
        if len(streams) > LONGEST_NAMES:
            streams = blake2b(streams.encode(), digest_size=32).hexdigest()
        return f"redis:{self._place}/{streams}"

    async def starts(self) -> dict[int, int]:
        starts = await self.ends(range(len(self._streams)))
        for partition, stream in enumerate(self._streams):
            first = await self._call("XRANGE", stream, "-", "+", "COUNT", 1)
            if first:
                starts[partition] = self._offset(first[0][0])
        return starts

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return {partition: await self._end(self._streams[partition]) for partition in partitions}

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        deadline = self._clock.monotonic() + wait
        while not (batch := await self._read(offsets, limit)):
            if (left := deadline - self._clock.monotonic()) <= 0:
                break
            await self._wait(offsets, left)
        return batch

    async def lag(self, offsets: Mapping[int, int]) -> int:
        return sum([await self._count(*place) for place in offsets.items()])

    async def _read(self, offsets: Mapping[int, int], limit: int) -> list[ConnectorEvent]:
        """Read entries of the streams in turn, up to the limits."""
        batch: list[ConnectorEvent] = []
        size = 0
        places = deque(offsets.items())
        while places and len(batch) < limit and size < BATCH_DATA:
            share = max(1, (limit - len(batch)) // len(places))
            partition, offset = places.popleft()
            count = min(PAGE, share)
            entries = await self._range(partition, offset, count)
            for entry in entries:
                event = self._event(partition, entry)
                batch.append(event)
                size += len(event.data)
                offset = event.offset + 1
            if len(entries) == count:  # there may be more
                places.append((partition, offset))
        return sorted(batch, key=lambda event: (event.partition, event.offset))

    async def _range(self, partition: int, offset: int, count: int) -> list[Entry]:
        entries: list[Entry] = await self._call(
            "XRANGE", self._streams[partition], _id(offset), "+", "COUNT", count
        )
        return entries

    async def _wait(self, offsets: Mapping[int, int], seconds: float) -> None:
        """Wait for an entry at or after one of the offsets, up to `seconds` of the clock."""
        done = asyncio.Event()
        streams = [self._streams[partition] for partition in offsets]
        ids = [_id_before(offset) for offset in offsets.values()]
        blocking = asyncio.create_task(
            self._call(
                "XREAD",
                "COUNT",
                1,
                "BLOCK",
                int(1000 * BLOCK),
                "STREAMS",
                *streams,
                *ids,
                patience=BLOCK + ANSWERING,
            )
        )
        blocking.add_done_callback(lambda _: done.set())
        try:
            await self._clock.wait(done, seconds)
            if blocking.done():
                await blocking  # raises its error
        finally:
            blocking.cancel()
            await asyncio.wait({blocking})
            if not blocking.cancelled():
                blocking.exception()  # it was raised above, or the wait is over

    async def _count(self, partition: int, offset: int) -> int:
        count = 0
        while entries := await self._range(partition, offset, COUNTED):
            count += len(entries)
            offset = self._offset(entries[-1][0]) + 1
        return count

    async def _end(self, stream: str) -> int:
        try:
            info = await self._call("XINFO", "STREAM", stream)
        except StoreError as error:
            if isinstance(error.__cause__, ResponseError) and "no such key" in str(error.__cause__):
                return 0
            raise
        flat: Sequence[Any] = list(chain(*info.items())) if hasattr(info, "items") else info
        fields = {_text(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
        last = self._offset(_bytes(fields["last-generated-id"]))
        return last + 1 if last else 0

    async def _call(self, *command: Any, patience: float = ANSWERING) -> Any:
        """Run a command. Raises the ports' errors."""
        with translate_errors(self._place):
            async with asyncio.timeout(patience):
                return await self._server.client.execute_command(*command)

    def _event(self, partition: int, entry: Entry) -> ConnectorEvent:
        entry_id, fields = entry
        known = {self._fields.key, self._fields.data}
        has_data = self._fields.data in fields
        texts = {_text(name): _text(value) for name, value in fields.items() if name not in known}
        offset = self._offset(entry_id)
        return ConnectorEvent(
            id=f"{self._streams[partition]}-{entry_id.decode()}",
            key=_text(fields.get(self._fields.key, b"")),
            data=fields[self._fields.data] if has_data else _json(fields),
            headers=texts if has_data else {},
            partition=partition,
            offset=offset,
            at=EPOCH + timedelta(milliseconds=offset >> SEQUENCE_BITS),
        )

    def _offset(self, entry_id: bytes) -> int:
        """Convert an id to an offset. Raises StoreError: it is too large."""
        first, second = map(int, entry_id.split(b"-"))
        if first >= 2 ** (63 - SEQUENCE_BITS) or second >= 2**SEQUENCE_BITS:
            why = (
                f"the entry {entry_id.decode()} of a stream has an id that is too large for an"
                " offset. Let the server make the ids (XADD with *)."
            )
            raise StoreError(self._place, why)
        return first << SEQUENCE_BITS | second


def _id(offset: int) -> str:
    return f"{offset >> SEQUENCE_BITS}-{offset % 2**SEQUENCE_BITS}"


def _id_before(offset: int) -> str:
    """The id after which entries at or after the offset come."""
    first, second = offset >> SEQUENCE_BITS, offset % 2**SEQUENCE_BITS
    if second:
        return f"{first}-{second - 1}"
    return f"{first - 1}-{LARGEST}" if first else "0-0"


def _json(fields: Mapping[bytes, bytes]) -> bytes:
    return json.dumps({_text(name): _text(value) for name, value in fields.items()}).encode()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
