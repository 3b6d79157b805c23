"""Children: started with a transition, and what their parent is told of their ends."""

from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel
from tests.unit.roles.shipments import NAMES, Box, Shipment, ShipmentRun, Shipping
from workflow_ray import Cancel, Children, Pause, Repeat, Stay
from workflow_ray.records import Cause, RunState


@pytest.mark.parametrize("plain", [False, True])
async def test_children_start_with_the_transition_of_their_parent(plain: bool) -> None:
    case = Shipping(weight=5, plain=plain).starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        await handle.wait_for(Shipment.UNDER_WAY)
        await bench.pass_time()
        assert await case.states(bench, handle.run_id) == dict.fromkeys(NAMES, RunState.RUNNING)


async def test_the_end_of_each_child_calls_the_function_with_that_child() -> None:
    case = Shipping().starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        assert sorted(case.ended) == [(name, RunState.COMPLETED, Box.SENT) for name in NAMES]
        assert (await handle.get()).status is Shipment.DELIVERED
        assert await bench.causes(handle.run_id) == [
            Cause.TRIGGER,
            Cause.STEP,
            *[Cause.CHILD] * 3,
        ]


async def test_the_end_of_the_last_child_calls_the_function_once_with_all_of_them() -> None:
    case = Shipping(weight=1).starting().all_at_once()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        assert case.gathered == [(3, 0, 3, NAMES)]
        assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP, Cause.CHILDREN]


async def test_a_status_that_gathers_children_is_left_at_once_if_there_are_none() -> None:
    case = Shipping(count=0).starting().all_at_once()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        assert case.gathered == [(0, 0, 0, [])]
        assert (await handle.get()).status is Shipment.DELIVERED


async def test_a_child_that_ends_before_its_parent_listens_is_not_missed() -> None:
    case = Shipping().starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        shipments = [await bench.consumer(Shipment.NEW)]
        handle = await case.ship(bench)
        for each in shipments:
            await each.leave()
        await bench.all_consumers()
        await bench.pass_time()
        assert (await handle.get()).status is Shipment.DELIVERED


async def test_a_parent_whose_child_s_foreign_id_is_taken_fails_with_both_names() -> None:
    case = Shipping(weight=5, prefix="shared").starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        first, second = await case.ship(bench, "1"), await case.ship(bench, "2")
        run = await second.get()
        assert (run.status, run.run_state) == (Shipment.NEW, RunState.PAUSED)
        assert run.reason is not None
        assert "the child 'shared-0' can't be started: its foreign id has the" in run.reason
        assert await case.states(bench, second.run_id) == {}
        assert len(await case.states(bench, first.run_id)) == 3


async def test_a_parent_may_join_children_that_are_active() -> None:
    case = Shipping(weight=5, prefix="shared", joins=True).starting().all_at_once()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handles = [await case.ship(bench, "1"), await case.ship(bench, "2")]
        first, second = [await case.states(bench, handle.run_id) for handle in handles]
        assert first == second
        boxes = bench.client(case.boxes)
        async for box in boxes.runs():
            await boxes.handle(box.run_id).cancel("enough")
        await bench.pass_time()
        assert [gathered[:3] for gathered in case.gathered] == [(3, 0, 3)] * 2
        assert [(await handle.get()).status for handle in handles] == [Shipment.DELIVERED] * 2


@pytest.mark.parametrize("result", ["pause", "cancel", "raise", "repeat", "stay"])
async def test_what_a_function_does_not_return_starts_no_child(result: str) -> None:
    case, calls = Shipping(weight=5), list[int]()

    @case.shipments.step(Shipment.NEW)
    async def ship(
        run: ShipmentRun,
    ) -> Literal[Shipment.DELIVERED] | Pause | Cancel | Repeat | Stay:
        calls.append(1)
        if len(calls) > 1:
            return Shipment.DELIVERED
        case.start_all(run)
        match result:
            case "pause":
                return Pause("look")
            case "cancel":
                return Cancel("no")
            case "repeat":
                return Repeat()
            case "stay":
                return Stay()
            case _:
                raise ValueError("broken")

    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        await bench.pass_time(60)
        started = len(await case.states(bench, handle.run_id))
        assert started == (3 if result in ("repeat", "stay") else 0)


async def test_many_children_are_read_in_pages() -> None:
    case = Shipping(count=1200).starting().all_at_once()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        await case.ship(bench)
        ((started, completed, _, names),) = case.gathered
        assert (started, completed, len(set(names))) == (1200, 1200, 1200)


async def test_children_of_an_earlier_visit_are_not_gathered_again() -> None:
    case = Shipping()
    counts = list[int]()

    @case.shipments.step(Shipment.NEW)
    async def ship(run: ShipmentRun) -> Literal[Shipment.UNDER_WAY]:
        for number in range(run.data.weight + 1):
            run.start(case.boxes, f"{run.visit}-{number}", Parcel())
        return Shipment.UNDER_WAY

    @case.shipments.children(Shipment.UNDER_WAY, case.boxes)
    async def every(
        run: ShipmentRun, boxes: Children[Parcel, Box]
    ) -> Literal[Shipment.NEW, Shipment.DELIVERED]:
        counts.append(len([box async for box in boxes]))
        run.data.weight += 1
        return Shipment.NEW if run.data.weight < 3 else Shipment.DELIVERED

    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        await case.ship(bench)
        assert counts == [1, 2, 3]


async def test_using_a_run_s_start_after_its_function_has_returned_is_refused() -> None:
    case, runs, errors = Shipping(), list[Any](), list[str]()

    @case.shipments.step(Shipment.NEW)
    async def ship(run: ShipmentRun) -> Literal[Shipment.DELIVERED]:
        runs.append(run)
        return Shipment.DELIVERED

    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        await case.ship(bench)
        try:
            case.start_all(runs[0])
        except Exception as error:
            errors.append(str(error))
    assert errors == ["run.start: the function has ended; call it before the function returns"]
