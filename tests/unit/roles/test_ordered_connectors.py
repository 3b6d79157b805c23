"""Connectors with `ordered=True`: the events of one key are handled in the order of the log."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, Stage
from tests.unit.roles.carts import Carts, breaking, connector, dead, entries, rows, succeeding
from tests.unit.roles.test_connector_crashes import Killer, restarted
from workflow_ray import Client
from workflow_ray.records import MAX_DATA, ConnectorEvent, GroupResult, NewSetAside, WriteGroup


async def test_the_events_of_a_key_run_one_after_another_and_those_of_others_beside_them() -> None:
    carts = Carts(ordered=True)
    running = defaultdict[str, int](int)
    most = defaultdict[str, int](int)

    async def watch(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        for key in (event.key, "all"):
            running[key] += 1
            most[key] = max(most[key], running[key])
        await asyncio.sleep(0)
        for key in (event.key, "all"):
            running[key] -= 1

    carts.work.append(watch)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        for number in range(40):
            carts.put(f"{number}", key=f"key-{number % 4}")
        while not all(row.offset == 40 for row in await rows(bench)):
            await bench.pass_time()
        assert len(carts.handled) == 40
        assert {most[f"key-{number}"] for number in range(4)} == {1}
        assert most["all"] == 4
        for key in range(4):
            of_key = [int(name) for name in carts.handled if int(name) % 4 == key]
            assert of_key == sorted(of_key)


async def test_a_key_waits_for_its_failed_event_and_other_keys_go_on() -> None:
    carts = Carts(ordered=True)
    carts.work.append(breaking("a1"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a1", key="a")
        carts.put("a2", key="a")
        carts.put("b1", key="b")
        await bench.pass_time()
        carts.put("a3", key="a")
        carts.put("b2", key="b")
        await bench.pass_time()
        assert carts.handled == ["b1", "b2"]
        carts.work.append(succeeding)
        await bench.pass_time(3)
        assert carts.handled == ["b1", "b2", "a1", "a2", "a3"]
        assert await entries(bench) == []
        carts.put("a4", key="a")
        await bench.pass_time()
        assert carts.handled[-1] == "a4"


async def test_a_key_goes_on_when_its_failed_event_is_a_dead_letter() -> None:
    carts = Carts(ordered=True, attempts=2)
    carts.work.append(breaking("a1"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        for name in ("a1", "a2", "a3"):
            carts.put(name, key="a")
        await bench.pass_time(10)
        assert carts.handled == ["a2", "a3"]
        (letter,) = await dead(bench)
        assert letter.key.offset == 0
        assert len(await entries(bench)) == 1


async def test_the_order_outlives_the_process() -> None:
    carts = Carts(ordered=True)
    carts.work.append(breaking("a1"))
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        for name in ("a1", "a2"):
            carts.put(name, key="a")
        await bench.pass_time()
        await first.kill()
        carts.put("a3", key="a")
        await connector(bench)
        await bench.pass_time()
        assert carts.handled == []
        carts.work.append(succeeding)
        await bench.pass_time(20)
        assert carts.handled == ["a1", "a2", "a3"]


async def test_events_without_a_key_have_no_order() -> None:
    carts = Carts(ordered=True)
    carts.work.append(breaking("1"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("1", "2", "3")
        await bench.pass_time()
        assert carts.handled == ["2", "3"]


async def test_a_dead_letter_that_is_replayed_runs_and_blocks_nothing_for_long() -> None:
    carts = Carts(ordered=True, attempts=1)
    carts.work.append(breaking("a1"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a1", key="a")
        await bench.pass_time()
        (letter,) = await dead(bench)
        carts.work.append(succeeding)
        again = NewSetAside(
            key=letter.key,
            event_id=letter.event_id,
            event=letter.event,
            attempt=0,
            retry_in=0.0,
        )
        await bench.whole.store([WriteGroup(set_aside=(again,))])
        carts.put("a2", key="a")
        await bench.pass_time(30)
        assert sorted(carts.handled) == ["a1", "a2"]
        assert await entries(bench) == []


async def test_without_an_order_a_failed_event_holds_up_no_other_of_its_key() -> None:
    carts = Carts()
    carts.work.append(breaking("a1"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        for name in ("a1", "a2", "a3"):
            carts.put(name, key="a")
        await bench.pass_time()
        assert carts.handled == ["a2", "a3"]


async def test_a_key_goes_on_after_an_event_too_large_to_be_kept_that_kills_its_process() -> None:
    carts = Carts(ordered=True)
    large = "x" * MAX_DATA
    killer = Killer(large)
    carts.work.append(killer)
    async with Bench(carts.workflow) as bench:
        carts.put(large, "b", "c", key="a")
        await restarted(bench, killer)
        assert carts.handled == ["b", "c"]
        (letter,) = await dead(bench)
        assert letter.key.offset == 0
        assert "can't be kept for another attempt" in letter.error
        carts.put("d", key="a")
        await bench.pass_time(1)
        assert carts.handled == ["b", "c", "d"]


async def test_an_event_whose_entry_is_not_committed_yet_is_the_next_of_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carts = Carts(ordered=True)
    carts.work.append(breaking("a1"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a1", key="a")
        await bench.pass_time()
        end, answer, store = asyncio.Event(), asyncio.Event(), bench.store.store

        async def waiting(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
            await end.wait()

        async def slow(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            if any(group.set_aside for group in groups):
                await answer.wait()
            return await store(groups)

        carts.work.append(waiting)
        while carts.begun.count("a1") < 2:
            await bench.pass_time(0.5)
        monkeypatch.setattr(bench.store, "store", slow)
        carts.put("a2", key="a")
        await bench.pass_time()
        end.set()
        await bench.pass_time()
        answer.set()
        carts.work.append(succeeding)
        await bench.pass_time(5)
        assert carts.handled == ["a1", "a2"]
