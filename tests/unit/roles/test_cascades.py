"""A cancelled run cancels its children that cascade, and theirs."""

from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel
from tests.unit.roles.shipments import NAMES, Shipment, Shipping
from workflow_ray import Run, Status, Stay, Workflow
from workflow_ray.records import RunQuery, RunState


async def test_a_cancelled_run_cancels_its_open_children_that_cascade() -> None:
    case = Shipping(weight=5, cascades=True).starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle, other = await case.ship(bench, "s"), await case.ship(bench, "other")
        await handle.cancel("no longer needed")
        await bench.pass_time()
        assert await case.states(bench, handle.run_id) == dict.fromkeys(NAMES, RunState.CANCELLED)
        assert set((await case.states(bench, other.run_id)).values()) == {RunState.RUNNING}
        query = RunQuery(workflow="boxes", parent=handle.run_id)
        reasons = {record.reason for record in await bench.store.runs(query)}
        assert reasons == {"its parent was cancelled"}


async def test_children_that_do_not_cascade_go_on() -> None:
    case = Shipping(weight=5).starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench, "s")
        await handle.cancel("no longer needed")
        await bench.pass_time()
        assert set((await case.states(bench, handle.run_id)).values()) == {RunState.RUNNING}


class Level(Status):
    START = 1
    WAIT = 2


async def test_a_cancellation_cascades_through_any_depth_and_many_children() -> None:
    tree = Workflow("tree", Parcel, Level)

    @tree.step(Level.START)
    async def grow(run: Run[Parcel, Level]) -> Literal[Level.WAIT]:
        children = 700 if run.data.weight == 4 else 1
        for number in range(children if run.data.weight < 5 else 0):
            data = Parcel(weight=run.data.weight + 1)
            run.start(tree, f"{run.foreign_id}.{number}", data, cascade=True)
        return Level.WAIT

    @tree.child(Level.WAIT, tree)
    async def grown(run: Run[Parcel, Level], child: Run[Parcel, Level]) -> Stay:
        return Stay()

    async with Bench(tree) as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await bench.client(tree).trigger("r", Parcel())
        await bench.pass_time()
        assert len(await every(bench)) == 705
        await handle.cancel("felled")
        await bench.pass_time()
        assert set(await every(bench)) == {RunState.CANCELLED}


async def every(bench: Bench) -> list[RunState]:
    return [
        record.run_state for record in await bench.store.runs(RunQuery(workflow="tree", limit=1000))
    ]


@pytest.mark.parametrize(("cascades", "chosen"), [(True, None), (False, True)])
async def test_a_cascade_that_a_crash_cuts_off_is_finished_by_the_next_holder(
    monkeypatch: pytest.MonkeyPatch, cascades: bool, chosen: bool | None
) -> None:
    case = Shipping(weight=5, cascades=cascades).starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.consumer(Shipment.NEW)
        consumer = await bench.consumer(Shipment.UNDER_WAY)
        handle = await case.ship(bench)

        async def die(query: RunQuery) -> Any:
            await consumer.kill()
            return []

        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "runs", die)
            await handle.cancel("no longer needed", cascade=chosen)
            await bench.pass_time()
            assert consumer.task.done()
        await bench.consumer(Shipment.UNDER_WAY)
        await bench.pass_time(60)
        assert set((await case.states(bench, handle.run_id)).values()) == {RunState.CANCELLED}


# --- as the one who cancels chooses --------------------------------------------------------------


@pytest.mark.parametrize("cascades", [False, True])
@pytest.mark.parametrize("chosen", [None, True, False])
async def test_the_one_who_cancels_chooses_which_children_are_cancelled(
    cascades: bool, chosen: bool | None
) -> None:
    case = Shipping(weight=5, cascades=cascades).starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle, other = await case.ship(bench, "s"), await case.ship(bench, "other")
        await handle.cancel("no longer needed", cascade=chosen)
        await bench.pass_time()
        are_cancelled = cascades if chosen is None else chosen
        expected = RunState.CANCELLED if are_cancelled else RunState.RUNNING
        assert set((await case.states(bench, handle.run_id)).values()) == {expected}
        assert set((await case.states(bench, other.run_id)).values()) == {RunState.RUNNING}


async def test_a_cascade_to_all_children_goes_through_any_depth_and_includes_joined_ones() -> None:
    tree = Workflow("tree", Parcel, Level)

    @tree.step(Level.START)
    async def grow(run: Run[Parcel, Level]) -> Literal[Level.WAIT]:
        data = Parcel(weight=run.data.weight + 1)
        for number in range(2 if run.data.weight < 4 else 0):
            run.start(tree, f"{run.foreign_id}.{number}", data)
        if run.data.weight == 3:
            run.start(tree, "joined", Parcel(weight=9), if_active="join")
        return Level.WAIT

    @tree.child(Level.WAIT, tree)
    async def grown(run: Run[Parcel, Level], child: Run[Parcel, Level]) -> Stay:
        return Stay()

    async with Bench(tree) as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await bench.client(tree).trigger("r", Parcel())
        stranger = await bench.client(tree).trigger("s", Parcel(weight=9))
        await bench.pass_time()
        assert len(await every(bench)) == 2**5 + 1
        await handle.cancel("felled", cascade=True)
        await bench.pass_time()
        assert (await every(bench)).count(RunState.CANCELLED) == 2**5
        assert (await stranger.get()).run_state is RunState.RUNNING


async def test_children_of_a_child_that_has_ended_are_left_alone() -> None:
    tree = Workflow("tree", Parcel, Level)

    @tree.step(Level.START)
    async def grow(run: Run[Parcel, Level]) -> Literal[Level.WAIT]:
        if run.data.weight < 2:
            run.start(tree, f"{run.foreign_id}.0", Parcel(weight=run.data.weight + 1))
        return Level.WAIT

    @tree.child(Level.WAIT, tree)
    async def grown(run: Run[Parcel, Level], child: Run[Parcel, Level]) -> Stay:
        return Stay()

    async with Bench(tree) as bench:
        await bench.publisher()
        await bench.all_consumers()
        client = bench.client(tree)
        handle = await client.trigger("r", Parcel())
        await bench.pass_time()
        await client.handle((await client.latest("r.0")).run_id).cancel("cut", cascade=False)
        await handle.cancel("felled", cascade=True)
        await bench.pass_time()
        assert (await client.latest("r.0.0")).run_state is RunState.RUNNING
