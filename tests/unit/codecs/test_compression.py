"""Compression of data above a size."""

import asyncio
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.codecs.payloads import encoded, payload, read
from workflow_ray import Compression, Unreadable
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA, new_run_id


@given(st.lists(st.binary(max_size=3000), max_size=5), st.integers(1, 9))
def test_what_is_compressed_is_decompressed(contents: list[bytes], level: int) -> None:
    async def round_trip() -> None:
        codec = Compression(above=100, level=level)
        stored = await codec.encode([payload(data) for data in contents])
        for data, compressed in zip(contents, stored, strict=True):
            if compressed is not None:
                assert len(compressed) < len(data)
                assert await read(codec, payload(compressed)) == data

    asyncio.run(round_trip())


async def test_short_data_and_data_that_does_not_get_smaller_stay_as_they_are() -> None:
    codec = Compression(above=100)
    random = bytes(range(256))
    assert await codec.encode([payload(b"a" * 100), payload(random)]) == [None, None]
    (compressed,) = await codec.encode([payload(b"a" * 101)])
    assert compressed is not None


async def test_large_batches_are_compressed_in_threads() -> None:
    codec = Compression()
    contents = [bytes([65 + at]) * 1_000_000 for at in range(3)]
    stored = await encoded(codec, *(payload(data, new_run_id()) for data in contents))
    assert sum(len(each.data) for each in stored) < 10_000
    assert await codec.decode(stored) == contents


async def test_data_that_gets_larger_than_a_run_may_be_is_refused() -> None:
    codec = Compression()
    assert await read(codec, payload(zlib.compress(b"a" * MAX_DATA))) == b"a" * MAX_DATA
    assert isinstance(await read(codec, payload(zlib.compress(b"a" * (MAX_DATA + 1)))), Unreadable)


@given(st.data())
def test_what_was_cut_is_refused(data: st.DataObject) -> None:
    compressed = zlib.compress(b"some data, " * 50)
    length = data.draw(st.integers(0, len(compressed) - 1))
    found = asyncio.run(read(Compression(), payload(compressed[:length])))
    assert isinstance(found, Unreadable)


@pytest.mark.parametrize(
    "arguments", [{"above": -1}, {"above": "1"}, {"above": True}, {"level": 0}, {"level": 10}]
)
def test_arguments_that_cannot_be_used_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        Compression(**arguments)
