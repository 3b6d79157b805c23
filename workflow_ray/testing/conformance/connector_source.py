"""All that the reader of a ConnectorSource must do."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from workflow_ray.ports import SourceReader
from workflow_ray.records import BATCH_DATA, ConnectorEvent
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_at_timeout,
    result_of,
)

MIB = 1024 * 1024
BOTH = (0, 1)


class Put(Protocol):
    """Appends a message to a partition of the log, without the reader.

    The message can be received once this returns.
    """

    async def __call__(
        self,
        partition: int,
        data: bytes,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None: ...


class ConnectorSourceConformance(Conformance):
    """For two fixtures: `source` and `put` (see Put).

    `source` is a SourceReader of a new, empty log with two partitions, opened with the `clock`.
    """

    async def test_a_message_is_received_as_it_was_written(
        self, source: SourceReader, put: Put
    ) -> None:
        await put(1, b"\x00\xff", key="order-42 🦄", headers={"traceparent": "00-abc-01"})
        (message,) = await everything(source)
        assert (message.data, message.key, message.partition) == (b"\x00\xff", "order-42 🦄", 1)
        assert message.headers == {"traceparent": "00-abc-01"}
        assert message.at.utcoffset() == timedelta(0)

    async def test_a_message_without_a_key_has_an_empty_one(
        self, source: SourceReader, put: Put
    ) -> None:
        await put(0, b"")
        (message,) = await everything(source)
        assert (message.key, message.data, message.headers) == ("", b"", {})

    async def test_a_new_log_is_empty(self, source: SourceReader) -> None:
        assert await source.starts() == await source.ends(BOTH) == {0: 0, 1: 0}
        assert await everything(source) == []
        assert source.source_id

    async def test_messages_of_a_partition_are_sorted_by_offset(
        self, source: SourceReader, put: Put
    ) -> None:
        for number in range(10):
            await put(number % 2, str(number).encode())
        messages = await everything(source)
        for partition in BOTH:
            of_it = [message for message in messages if message.partition == partition]
            assert [message.data for message in of_it] == [
                str(number).encode() for number in range(partition, 10, 2)
            ]
            assert [message.offset for message in of_it] == sorted(
                {message.offset for message in of_it}
            )

    async def test_a_message_has_an_id_of_its_own_each_time_that_it_is_received(
        self, source: SourceReader, put: Put
    ) -> None:
        for number in range(6):
            await put(number % 2, b"the same", key="the same")
        first, again = await everything(source), await everything(source)
        assert sorted(message.id for message in first) == sorted(message.id for message in again)
        assert len({message.id for message in first}) == 6

    async def test_the_same_offsets_give_the_same_messages_again(
        self, source: SourceReader, put: Put
    ) -> None:
        for number in range(10):
            await put(0, str(number).encode())
        messages = await source.receive({0: 0}, limit=10, wait=0)
        for _ in range(2):
            assert await source.receive({0: messages[4].offset}, limit=10, wait=0) == messages[4:]

    async def test_a_reader_that_begins_at_the_end_gets_later_messages_only(
        self, source: SourceReader, put: Put
    ) -> None:
        await put(0, b"before")
        await put(1, b"before")
        ends = await source.ends(BOTH)
        assert await source.receive(ends, limit=10, wait=0) == []
        await put(1, b"after")
        assert [message.data for message in await source.receive(ends, limit=10, wait=0)] == [
            b"after"
        ]

    async def test_a_reader_that_begins_at_the_start_gets_every_message(
        self, source: SourceReader, put: Put
    ) -> None:
        for number in range(4):
            await put(number % 2, b"x")
        assert len(await source.receive(await source.starts(), limit=10, wait=0)) == 4

    async def test_only_the_partitions_named_are_received(
        self, source: SourceReader, put: Put
    ) -> None:
        await put(0, b"zero")
        await put(1, b"one")
        assert [message.data for message in await source.receive({1: 0}, limit=10, wait=0)] == [
            b"one"
        ]
        (message,) = await source.receive({1: 0}, limit=10, wait=0)
        assert await source.ends([1]) == {1: message.offset + 1}

    async def test_lag_counts_the_messages_at_or_after_the_offsets(
        self, source: SourceReader, put: Put
    ) -> None:
        for number in range(5):
            await put(number % 2, b"x")
        ends = await source.ends(BOTH)
        assert await source.lag({0: 0, 1: 0}) == 5
        assert await source.lag({0: ends[0], 1: 0}) == 2
        assert await source.lag(ends) == 0

    # --- batches --------------------------------------------------------------------------------

    async def test_successive_batches_give_every_message_once(
        self, source: SourceReader, put: Put
    ) -> None:
        for number in range(20):
            await put(number * number % 2, str(number).encode())
        offsets, seen = await source.starts(), list[bytes]()
        while messages := await source.receive(offsets, limit=3, wait=0):
            assert len(messages) <= 3
            offsets |= {message.partition: message.offset + 1 for message in messages}
            seen += [message.data for message in messages]
        assert sorted(seen) == sorted(str(number).encode() for number in range(20))

    async def test_the_backlog_of_a_partition_delays_no_message_of_another(
        self, source: SourceReader, put: Put
    ) -> None:
        for _ in range(40):
            await put(0, b"backlog")
        await put(1, b"other")
        offsets = await source.starts()
        for _ in range(2):
            messages = await source.receive(offsets, limit=10, wait=0)
            assert {message.partition for message in messages} == {0, 1}

    async def test_a_batch_of_messages_is_bounded_by_its_data(
        self, source: SourceReader, put: Put
    ) -> None:
        count = BATCH_DATA // (MIB // 2) * 2
        for number in range(count):
            await put(number % 2, b"x" * (MIB // 2))
        offsets, seen = await source.starts(), 0
        while messages := await source.receive(offsets, limit=1000, wait=0):
            assert sum(len(message.data) for message in messages) <= 2 * BATCH_DATA
            offsets |= {message.partition: message.offset + 1 for message in messages}
            seen += len(messages)
        assert seen == count

    # --- waiting --------------------------------------------------------------------------------

    async def test_a_new_message_wakes_a_reader_that_waits(
        self, source: SourceReader, put: Put, clock: FakeClock
    ) -> None:
        receiving = await begin(clock, source.receive({0: 0, 1: 0}, limit=10, wait=LONG))
        await put(1, b"late")
        assert [message.data for message in await result_of(receiving)] == [b"late"]

    async def test_receive_ends_after_its_wait_for_messages(
        self, source: SourceReader, put: Put, clock: FakeClock
    ) -> None:
        receiving = await begin(clock, source.receive({0: 0}, limit=10, wait=5))
        await put(1, b"elsewhere")
        assert await result_at_timeout(clock, receiving, seconds=5) == []


async def everything(source: SourceReader) -> list[ConnectorEvent]:
    return await source.receive(await source.starts(), limit=1000, wait=0)
