"""The bounds of what a consumer holds in memory, and the age of its records (E4, E21)."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Handle, Repeat, RunState, Trigger
from workflow_ray.records import BATCH_DATA, Cause, Record, RunId, WriteGroup, consumer_group
from workflow_ray.roles import steps
from workflow_ray.roles.group_commits import WINDOW_DATA

LABEL = "x" * 2_000_000


def waiting(gate: asyncio.Event, calls: list[str], *, max_in_flight: int = 1000) -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW, max_in_flight=max_in_flight)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        calls.append(run.foreign_id)
        await gate.wait()
        return Stage.DONE

    return workflow


async def large(bench: Bench, workflow: Parcels, count: int) -> list[Handle[Parcel, Stage]]:
    triggers = [Trigger[Parcel, Stage](f"{number}", Parcel(label=LABEL)) for number in range(count)]
    return [handle for handle, _ in await bench.client(workflow).trigger_many(triggers)]


# --- bytes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True], ids=["in one store", "with records looked up"])
async def test_the_data_in_hand_is_bounded_in_bytes(
    apart: bool,
) -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = waiting(gate, calls)
    async with Bench(workflow, apart=apart) as bench:
        await bench.publisher()
        handles = await large(bench, workflow, 40)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(seconds=1)
        assert WINDOW_DATA / len(LABEL) <= len(calls) <= (WINDOW_DATA + BATCH_DATA) / len(LABEL) + 2
        gate.set()
        while len(calls) < 40:
            await asyncio.sleep(0.01)
            await bench.pass_time(seconds=1)
        await bench.pass_time()
        assert {(await handle.get()).run_state for handle in handles} == {RunState.COMPLETED}


async def test_all_runs_are_processed_when_the_store_returns_records_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, calls = asyncio.Event(), list[str]()
    gate.set()
    workflow = waiting(gate, calls)
    async with Bench(workflow, apart=True) as bench:
        lookup = bench.store.lookup

        async def one_by_one(
            run_ids: Sequence[RunId], *, fresh: bool = False
        ) -> list[Record | None]:
            return await lookup(run_ids[:1], fresh=fresh)

        monkeypatch.setattr(bench.whole, "lookup", one_by_one)
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *map(str, range(30)))
        await bench.pass_time()
        assert sorted(calls) == sorted(map(str, range(30)))
        assert sum((await bench.position(Stage.NEW)).values()) == 30


# --- waiting for a slot -------------------------------------------------------------------------


async def test_a_run_cancelled_while_it_waits_for_its_turn_is_not_executed() -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = waiting(gate, calls, max_in_flight=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2", "3")
        await bench.pass_time(seconds=2 * steps.OLD)
        (first,) = calls
        second, third = (name for name in runs if name != first)
        await bench.cancel_from_outside(runs[second].run_id)
        gate.set()
        await bench.pass_time()
        assert calls == [first, third]
        assert await bench.causes(runs[second].run_id) == [Cause.TRIGGER, Cause.CANCEL]
        assert sum((await bench.position(Stage.NEW)).values()) == 3


async def test_attempts_that_wait_for_their_turn_do_not_begin_after_a_stop() -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = waiting(gate, calls, max_in_flight=1)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, *map(str, range(10)))
        await bench.pass_time()
        consumer.stop.set()
        await bench.pass_time()
        gate.set()
        await consumer.task
        assert len(calls) == 1
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert sorted(calls) == sorted(map(str, range(10)))


# --- fairness -----------------------------------------------------------------------------------


async def test_runs_that_repeat_without_delay_do_not_starve_new_ones() -> None:
    workflow, repeats = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        if run.foreign_id.startswith("repeats"):
            repeats.append(run.foreign_id)
            await asyncio.sleep(0)
            return Repeat()
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        client = bench.client(workflow)
        for number in range(50):
            await client.trigger(f"repeats {number}", Parcel())
        while len(repeats) < 500:
            await asyncio.sleep(0)
        before = len(repeats)
        handle = await client.trigger("new", Parcel())
        while (await handle.get()).run_state is not RunState.COMPLETED:
            await asyncio.sleep(0)
            assert len(repeats) < before + 50 * 20


# --- what the store can't hold ------------------------------------------------------------------


async def test_the_role_goes_on_after_the_store_rejects_a_write_without_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate, calls = asyncio.Event(), list[str]()
    gate.set()
    workflow = waiting(gate, calls)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        bad = (await triggered(bench, workflow, "bad"))["bad"].run_id
        bench.store.rejected = lambda write: write.run_id == bad
        good = await triggered(bench, workflow, *map(str, range(10)))
        await bench.pass_time()
        assert {(await handle.get()).run_state for handle in good.values()} == {RunState.COMPLETED}
        assert await bench.causes(bad) == [Cause.TRIGGER]
        assert not consumer.task.done()
        assert sum((await bench.position(Stage.NEW)).values()) == 11
    assert f"run {bad} stays at version 1" in caplog.text


async def test_a_write_without_data_that_the_store_rejects_pauses_its_run() -> None:
    gate, calls = asyncio.Event(), list[str]()
    gate.set()
    workflow = waiting(gate, calls)
    async with Bench(workflow) as bench:
        bench.store.rejected = lambda write: write.cause is Cause.STEP
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        run = await runs["1"].get()
        assert (run.run_state, run.reason) == (
            RunState.PAUSED,
            "the store rejects the write: it doesn't fit",
        )


# --- idle ---------------------------------------------------------------------------------------


async def test_an_idle_role_checks_its_fence_by_one_small_write_a_minute_at_most() -> None:
    gate = asyncio.Event()
    workflow = waiting(gate, [])
    async with Bench(workflow) as bench:
        await bench.consumer(Stage.NEW)
        bench.store.groups.clear()
        await bench.pass_time(seconds=600)
        assert 600 / 100 <= len(bench.store.groups) <= 600 / 45
        role = f"{consumer_group('parcels', Stage.NEW.value)}-1-of-1"
        assert all(
            group == WriteGroup(fence=group.fence) and group.fence and group.fence.role == role
            for group in bench.store.groups
        )
