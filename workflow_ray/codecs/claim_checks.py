"""Large data as objects in a file system or an object store, with references in the records."""

from asyncio import to_thread
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from workflow_ray.codecs.compression import checked_number
from workflow_ray.codecs.objects import FsspecObjects
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import ClaimCheck, Payload, Unreadable
from workflow_ray.records import MAX_DATA, RunId

LENGTH = 8
"""The bytes of the length in a reference. The SHA-256 of the content comes after it."""
METHODS = ("write", "read", "delete", "runs")


class ClaimChecks:
    """A codec that writes data above a size to an object, and leaves a reference. See `Codec`.

    An object is written before the record that refers to it, and is named by its run and its
    content. It is checked when it is read. The objects of a run are deleted with its data, or with
    the run. Data that belongs to no run, such as the event of a dead letter, stays in the store.

    Put it last in a list of codecs, so that objects are compressed and encrypted too.

    Args:
        place: Where the objects are: a URL of fsspec, as "s3://bucket/prefix" or
            "file:///var/claims", or a ClaimCheck. Workflows of one record store may share a place.
        above: Bytes. Shorter data stays in the store.
        options: Options of fsspec's file system, such as `key` and `secret` for S3.

    Raises:
        InvalidInput: An argument can't be used.
    """

    name = "claim-check"
    hides = False

    def __init__(
        self, place: str | ClaimCheck, *, above: int = 256 * 1024, **options: object
    ) -> None:
        self._above = checked_number("above", above, 0, MAX_DATA)
        self._objects = _checked_place(place, options)

    async def encode(self, payloads: Sequence[Payload]) -> list[bytes | None]:
        """See Codec. All objects are written when this returns."""
        large = {at: each for at, each in enumerate(payloads) if self._is_large(each)}
        if not large:
            return [None] * len(payloads)
        names = await to_thread(_names, [each.data for each in large.values()])
        answers: list[bytes | None] = [None] * len(payloads)
        for at, name in zip(large, names, strict=True):
            answers[at] = len(payloads[at].data).to_bytes(LENGTH, "big") + bytes.fromhex(name)
        await self._objects.write(
            [
                (each.run_id, name, each.data)
                for each, name in zip(large.values(), names, strict=True)
            ]
        )
        return answers

    async def decode(self, payloads: Sequence[Payload]) -> list[bytes | Unreadable]:
        """See Codec."""
        asked = [(each.run_id, each.data[LENGTH:].hex()) for each in payloads]
        found = await self._objects.read(asked)
        return await to_thread(
            lambda: [
                _checked(each.data, content) for each, content in zip(payloads, found, strict=True)
            ]
        )

    def digests(self, digest: bytes) -> Sequence[bytes]:
        """See Codec: it has no key."""
        return ()

    async def forget(self, run_ids: Sequence[RunId]) -> None:
        """See Codec: it deletes the objects of these runs."""
        await self._objects.delete(run_ids)

    async def kept(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """See Codec: the runs that have objects.

        Args:
            after: The last run of the previous page, exclusive. None: the first page.
            limit: The most runs.
        """
        return await self._objects.runs(after=after, limit=limit)

    def _is_large(self, payload: Payload) -> bool:
        # What outlives its run's objects must not be one of them.
        return bool(payload.run_id) and len(payload.data) > self._above and not payload.outlives

    def __repr__(self) -> str:
        return f"ClaimChecks(..., above={self._above})"  # a URL may hold a password


def _names(contents: Sequence[bytes]) -> list[str]:
    return [sha256(content).hexdigest() for content in contents]


def _checked(reference: bytes, content: bytes | None) -> bytes | Unreadable:
    if content is None:
        return Unreadable("its object does not exist any more")
    length = int.from_bytes(reference[:LENGTH], "big")
    if len(content) != length or sha256(content).digest() != reference[LENGTH:]:
        return Unreadable("its object was changed")
    return content


def _checked_place(place: Any, options: dict[str, object]) -> ClaimCheck:
    if isinstance(place, str) and "://" in place:
        return FsspecObjects(place, options)
    if isinstance(place, str) or not all(callable(getattr(place, each, None)) for each in METHODS):
        raise InvalidInput("place", "it is a URL of fsspec, or has the methods of ClaimCheck")
    if options:
        raise InvalidInput("options", "only a URL takes them")
    claim_check: ClaimCheck = place
    return claim_check
