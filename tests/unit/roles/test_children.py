"""Children: started with a transition, and what their parent is told of their ends."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel
from workflow_ray import Cancel, Children, Handle, Pause, Repeat, Run, Status, Stay, Workflow
from workflow_ray.records import Cause, RunId, RunQuery, RunState


class Shipment(Status):
    NEW = 1
    UNDER_WAY = 2
    DELIVERED = 3
    FAILED = 4


class Box(Status):
    PACKED = 1
    SENT = 2
    RETURNED = 3


ShipmentRun = Run[Parcel, Shipment]
BoxRun = Run[Parcel, Box]


@dataclass
class Shipping:
    """A shipment starts `count` boxes. A box of weight 0 is sent at once, others wait."""

    count: int = 3
    weight: int = 0
    joins: bool = False
    cascades: bool = False
    prefix: str = ""
    plain: bool = False
    ended: list[tuple[str, RunState, Box]] = field(default_factory=list[tuple[str, RunState, Box]])
    gathered: list[tuple[int, int, int, list[str]]] = field(
        default_factory=list[tuple[int, int, int, list[str]]]
    )

    def __post_init__(self) -> None:
        self.boxes = Workflow("boxes", Parcel, Box, entry=tuple(Box))
        self.shipments = Workflow("shipments", Parcel, Shipment, entry=tuple(Shipment))
        self.declare_boxes()

    def declare_boxes(self) -> None:
        @self.boxes.step(Box.PACKED)
        async def send(run: BoxRun) -> Literal[Box.SENT, Box.RETURNED] | Cancel | Stay:
            match run.data.weight:
                case 0:
                    return Box.SENT
                case 1:
                    return Cancel("lost")
                case _:
                    return Stay()

    def start_all(self, run: ShipmentRun) -> None:
        for number in range(self.count):
            run.start(
                self.boxes,
                f"{self.prefix or run.foreign_id}-{number}",
                Parcel(weight=self.weight),
                if_active="join" if self.joins else "refuse",
                cascade=self.cascades,
            )

    def starting(self) -> "Shipping":
        """NEW starts the boxes."""
        if self.plain:

            @self.shipments.step(Shipment.NEW)
            def ship(run: ShipmentRun) -> Literal[Shipment.UNDER_WAY]:
                self.start_all(run)
                return Shipment.UNDER_WAY

        else:

            @self.shipments.step(Shipment.NEW)
            async def ship_async(run: ShipmentRun) -> Literal[Shipment.UNDER_WAY]:
                self.start_all(run)
                return Shipment.UNDER_WAY

        return self

    def one_by_one(self) -> "Shipping":
        @self.shipments.child(Shipment.UNDER_WAY, self.boxes)
        async def one(run: ShipmentRun, box: BoxRun) -> Literal[Shipment.DELIVERED] | Stay:
            self.ended.append((box.foreign_id, box.run_state, box.status))
            run.data.weight += 1
            return Shipment.DELIVERED if run.data.weight == self.count else Stay()

        return self

    def all_at_once(self) -> "Shipping":
        @self.shipments.children(Shipment.UNDER_WAY, self.boxes)
        async def every(
            run: ShipmentRun, boxes: Children[Parcel, Box]
        ) -> Literal[Shipment.DELIVERED]:
            names = [box.foreign_id async for box in boxes]
            self.gathered.append((boxes.started, boxes.completed, boxes.cancelled, sorted(names)))
            return Shipment.DELIVERED

        return self

    def bench(self) -> Bench:
        return Bench(self.shipments, self.boxes)

    async def ship(self, bench: Bench, foreign_id: str = "s") -> Handle[Parcel, Shipment]:
        handle = await bench.client(self.shipments).trigger(foreign_id, Parcel())
        await bench.pass_time()
        return handle

    async def states(self, bench: Bench, parent: str) -> dict[str, RunState]:
        """The run states of a run's children, by foreign id."""
        query = RunQuery(workflow="boxes", parent=RunId(parent))
        return {record.foreign_id: record.run_state for record in await bench.store.runs(query)}


NAMES = ["s-0", "s-1", "s-2"]


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


# --- cascades -----------------------------------------------------------------------------------


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


async def test_a_cascade_that_a_crash_cuts_off_is_finished_by_the_next_holder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Shipping(weight=5, cascades=True).starting().one_by_one()
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
            await handle.cancel("no longer needed")
            await bench.pass_time()
            assert consumer.task.done()
        await bench.consumer(Shipment.UNDER_WAY)
        await bench.pass_time(60)
        assert set((await case.states(bench, handle.run_id)).values()) == {RunState.CANCELLED}
