"""Logs that lose their tail, begin again, or hold messages that are not events (E7)."""

import asyncio
from typing import Literal

import msgspec
import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage, packing, parcels
from workflow_ray.records import Cause, Position, Topic, WriteGroup, consumer_group

TOPIC = Topic("parcels-1")
GROUP = consumer_group("parcels", Stage.NEW.value)


async def test_a_partition_that_lost_its_tail_goes_on_at_once_alone_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = packing(partitions=2)
    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *map(str, range(40)))
        await bench.pass_time()
        before = {row.partition: row for row in await bench.rows(Stage.NEW)}
        await bench.stream.lose_tail(TOPIC, 0)
        runs = await triggered(bench, workflow, *map(str, range(40, 60)))
        await bench.pass_time()
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]
        after = {row.partition: row for row in await bench.rows(Stage.NEW)}
        assert (after[0].incarnation, after[1].incarnation) == (1, 0)
        assert after[0].offset < before[0].offset
        assert after[1].offset > before[1].offset
    assert [
        record.getMessage()
        for record in caplog.records
        if "lost events, or was made again" in record.getMessage()
    ]


async def test_a_run_of_an_earlier_log_does_not_move_the_position_of_the_new_log() -> None:
    gate, workflow = asyncio.Event(), parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id.startswith("slow"):
            await gate.wait()
        return Stage.DONE

    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        old = await triggered(bench, workflow, *map(str, range(10)), "slow")
        await bench.pass_time()
        await bench.stream.lose_tail(TOPIC, 0)
        new = await triggered(bench, workflow, "slow too")
        await bench.pass_time()
        (row,) = await bench.rows(Stage.NEW)
        assert (row.incarnation, row.offset) == (1, 0)
        gate.set()
        await bench.pass_time()
        for handle in [*old.values(), *new.values()]:
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]
        (row,) = await bench.rows(Stage.NEW)
        assert (row.incarnation, row.offset) == (1, 1)


async def test_nothing_of_a_deleted_log_is_in_doubt() -> None:
    gate, workflow = asyncio.Event(), parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await gate.wait()
        return Stage.DONE

    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *map(str, range(10)))
        await bench.pass_time()
        await consumer.kill()
        await bench.whole.store(
            [WriteGroup(positions=(Position(GROUP, 0, 5, begun=100, log=bench.whole.stream_id),))]
        )
        await bench.stream.lose_tail(TOPIC, 0)
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *map(str, range(20, 30)))
        gate.set()
        await bench.pass_time()
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]


async def test_a_position_of_another_log_is_ignored() -> None:
    workflow = packing(partitions=1)
    async with Bench(workflow) as bench:
        await bench.store.store(
            [
                WriteGroup(
                    positions=(Position(GROUP, 0, 500, begun=900, trying=(600,), log="another"),)
                )
            ]
        )
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]
        (row,) = await bench.rows(Stage.NEW)
        assert (row.offset, row.log, row.trying) == (1, bench.store.stream_id, ())


async def test_messages_of_others_at_the_end_of_a_partition_let_its_position_move_past_them() -> (
    None
):
    workflow = packing(partitions=1)
    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "1")
        await bench.pass_time()
        bench.stream.add_foreign(TOPIC, 0, 3)
        await bench.pass_time(seconds=30)
        assert await bench.position(Stage.NEW) == {0: 4}
        assert await bench.stream.lag(TOPIC, await bench.position(Stage.NEW)) == 0


async def test_the_row_of_a_new_log_is_committed_before_any_of_its_events_runs() -> None:
    workflow, rows = parcels(partitions=1), list[Position]()
    benches = list[Bench]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        rows.extend(await benches[0].rows(Stage.NEW))
        return Stage.DONE

    async with Bench(workflow, apart=True) as bench:
        benches.append(bench)
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *map(str, range(10)))
        await bench.pass_time()
        await bench.stream.lose_tail(TOPIC, 0)
        await triggered(bench, workflow, "new")
        await bench.pass_time()
        assert msgspec.structs.replace(rows[-1], begun=0, in_use=None) == Position(
            GROUP, 0, 0, log=bench.whole.stream_id, incarnation=1
        )
        assert rows[-1].begun > 0
