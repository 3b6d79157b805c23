"""Compression of large data, by zlib."""

import zlib
from asyncio import to_thread
from collections.abc import Sequence
from typing import Any

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Payload, Unreadable
from workflow_ray.records import MAX_DATA, RunId

MANY = 64 * 1024
"""Bytes from which a batch goes to a thread. They take about a millisecond."""


class Compression:
    """A codec that compresses data above a size, by zlib. See `Codec`.

    Data that does not get smaller stays as it is.

    Args:
        above: Bytes. Shorter data stays as it is.
        level: From 1, the fastest, to 9, the smallest.

    Raises:
        InvalidInput: An argument can't be used.
    """

    name = "zlib"
    hides = False

    def __init__(self, *, above: int = 1024, level: int = 6) -> None:
        self._above = checked_number("above", above, 0, MAX_DATA)
        self._level = checked_number("level", level, 1, 9)

    async def encode(self, payloads: Sequence[Payload]) -> list[bytes | None]:
        """See Codec."""
        large = [len(each.data) for each in payloads if len(each.data) > self._above]
        if sum(large) > MANY:
            return await to_thread(self._encode, payloads)
        return self._encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[bytes | Unreadable]:
        """See Codec."""
        if sum(len(each.data) for each in payloads) > MANY // 4:
            return await to_thread(_decode, payloads)
        return _decode(payloads)

    def digests(self, digest: bytes) -> Sequence[bytes]:
        """See Codec: it has no key."""
        return ()

    async def forget(self, run_ids: Sequence[RunId]) -> None:
        """See Codec: it keeps nothing."""

    async def kept(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """See Codec: it keeps nothing.

        Args:
            after: The last run of the previous page, exclusive. None: the first page.
            limit: The most runs.
        """
        return []

    def _encode(self, payloads: Sequence[Payload]) -> list[bytes | None]:
        return [self._compressed(each.data) for each in payloads]

    def _compressed(self, data: bytes) -> bytes | None:
        if len(data) <= self._above:
            return None
        compressed = zlib.compress(data, self._level)
        return compressed if len(compressed) < len(data) else None

    def __repr__(self) -> str:
        return f"Compression(above={self._above}, level={self._level})"


def _decode(payloads: Sequence[Payload]) -> list[bytes | Unreadable]:
    return [_decompressed(each.data) for each in payloads]


def _decompressed(data: bytes) -> bytes | Unreadable:
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(data, MAX_DATA + 1)
    except zlib.error:
        return Unreadable("its compressed form is damaged")
    if len(found) > MAX_DATA:  # nothing larger is written
        return Unreadable(f"it is compressed and has more than {MAX_DATA} bytes")
    if not reader.eof or reader.unused_data:
        return Unreadable("its compressed form is damaged")
    return found


def checked_number(what: str, number: Any, least: int, most: int) -> int:
    """Check a whole number. Raises InvalidInput."""
    if type(number) is not int or not least <= number <= most:
        raise InvalidInput(what, f"it is a whole number from {least} to {most}, not {number!r}")
    return number
