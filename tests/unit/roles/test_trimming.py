"""The publisher removes published events below the positions of their consumers, and completed
timeouts (E14).
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec
import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage, packing, parcels
from workflow_ray.errors import RoleLost, StoreReadOnly
from workflow_ray.records import (
    PUBLISHER,
    Cause,
    Fence,
    Position,
    Role,
    Topic,
    WriteGroup,
    consumer_group,
)
from workflow_ray.roles import trimming
from workflow_ray.runtime.deploying import describe_here, merge

TOPIC = Topic("parcels-1")
GROUP = consumer_group("parcels", Stage.NEW.value)
SOON = 3 * trimming.OFTEN


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]


async def test_events_below_the_positions_of_their_consumer_are_removed_and_no_others() -> None:
    gate, workflow = asyncio.Event(), parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "slow":
            await gate.wait()
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(50))
        await bench.pass_time()
        slow = await triggered(bench, workflow, "slow")
        await bench.pass_time()
        await triggered(bench, workflow, "after it")
        await bench.pass_time(SOON)
        assert [event.run_id for event in await bench.received(Stage.NEW)][:1] == [
            slow["slow"].run_id
        ]
        assert await bench.store.ends(TOPIC, [0]) == {0: 52}
        gate.set()
        await bench.pass_time(SOON + trimming.SELDOM)
        assert await bench.received(Stage.NEW) == []
        assert await bench.store.ends(TOPIC, [0]) == {0: 52}


async def test_a_topic_whose_consumer_has_no_position_yet_keeps_its_events() -> None:
    workflow = packing()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await triggered(bench, workflow, *names(20))
        await bench.pass_time(trimming.SELDOM * 3)
        assert len(await bench.received(Stage.NEW)) == 20


async def test_a_position_of_another_log_removes_nothing() -> None:
    workflow = packing(partitions=1)
    async with Bench(workflow) as bench:
        await bench.store.store([WriteGroup(positions=(Position(GROUP, 0, 20, log="another"),))])
        await bench.publisher()
        await triggered(bench, workflow, *names(20))
        await bench.pass_time(trimming.SELDOM * 3)
        assert len(await bench.received(Stage.NEW)) == 20


async def test_a_position_beyond_the_end_of_a_new_log_removes_nothing() -> None:
    workflow = packing(partitions=1)
    async with Bench(workflow) as bench:
        await bench.store.store(
            [WriteGroup(positions=(Position(GROUP, 0, 500, log=bench.store.stream_id),))]
        )
        await bench.publisher()
        await triggered(bench, workflow, *names(20))
        await bench.pass_time(trimming.SELDOM * 3)
        assert len(await bench.received(Stage.NEW)) == 20


async def test_events_are_removed_in_bounded_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "BATCH", 7)
    workflow, amounts = packing(), list[int]()
    async with Bench(workflow) as bench:
        trim = bench.store.trim

        async def noted(
            fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
        ) -> int:
            amounts.append(await trim(fence, topic, offsets, limit=limit))
            return amounts[-1]

        monkeypatch.setattr(bench.store, "trim", noted)
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(100))
        await bench.pass_time(SOON)
        assert (sum(amounts), max(amounts)) == (100, 7)


async def test_an_idle_topic_is_polled_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflow, looks = packing(), list[str]()
    async with Bench(workflow) as bench:
        positions = bench.store.positions

        async def noted(group: str) -> list[Position]:
            looks.append(group)
            return await positions(group)

        monkeypatch.setattr(bench.store, "positions", noted)
        await bench.publisher()
        await bench.pass_time(3600)
        assert len(looks) < 25


async def test_many_idle_topics_cost_a_few_reads_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics, looks = 1000, Counter[str]()
    async with Bench(packing()) as bench:
        deployed = describe_here(bench.workflow)
        step = deployed.groups[GROUP]
        copies = [
            msgspec.structs.replace(
                deployed,
                name=f"copy-{number}",
                groups={consumer_group(f"copy-{number}", Stage.NEW.value): step},
            )
            for number in range(topics)
        ]
        await merge(bench.whole, copies)
        positions = bench.store.positions

        async def noted(group: str) -> list[Position]:
            looks[group] += 1
            return await positions(group)

        monkeypatch.setattr(bench.store, "positions", noted)
        await bench.publisher()
        await bench.pass_time(trimming.SELDOM)
        assert len(looks) > topics
        assert looks.total() / trimming.SELDOM < 7


async def test_a_store_that_cannot_be_written_now_is_trimmed_later_and_published_to_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflow, refusing = packing(), [True]
    async with Bench(workflow) as bench:
        trim = bench.store.trim

        async def refused(
            fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
        ) -> int:
            if refusing[0]:
                raise StoreReadOnly("the store", "it fails over")
            return await trim(fence, topic, offsets, limit=limit)

        monkeypatch.setattr(bench.store, "trim", refused)
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *names(10))
        await bench.pass_time(SOON)
        runs = await triggered(bench, workflow, "11")
        await bench.pass_time()
        assert await bench.causes(runs["11"].run_id) == [Cause.TRIGGER, Cause.STEP]
        assert len(await bench.received(Stage.NEW)) == 11
        refusing[0] = False
        await bench.pass_time(trimming.SELDOM)
        assert await bench.received(Stage.NEW) == []


async def test_a_publisher_that_learns_by_trimming_that_its_role_is_lost_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflow = packing()
    async with Bench(workflow) as bench:

        async def moved(fence: Fence, *, limit: int, wait: float) -> int:
            await asyncio.Event().wait()
            return 0

        async def ends(topic: Topic, partitions: Collection[int]) -> dict[int, int]:
            return dict.fromkeys(partitions, 10)

        monkeypatch.setattr(bench.store, "move", moved)
        monkeypatch.setattr(bench.store, "ends", ends)
        await bench.store.store(
            [WriteGroup(positions=(Position(GROUP, 0, 5, log=bench.store.stream_id),))]
        )
        publisher = await bench.publisher()
        await bench.store.acquire(Role(PUBLISHER))
        await bench.pass_time(SOON)
        with pytest.raises(RoleLost):
            await publisher.task
