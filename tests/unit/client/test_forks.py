"""A fork is a new run that begins as another run was at a version."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.client.orders import At, Order, Shop, shop
from tests.unit.parcels import Parcel, Route, RoutedRun
from tests.unit.roles.shipments import Shipping
from workflow_ray import Cause, Client, Handle, Repeat, Run, RunState, TriggerOutcome, Workflow
from workflow_ray.client.writer import EventKeys
from workflow_ray.errors import InvalidInput, KeyReused, RunActive, UnreadableData
from workflow_ray.records import RunQuery
from workflow_ray.testing import WorkflowTester

CALLERS = 50


async def paid(shop: Shop) -> Handle[Order, At]:
    """A run that has come to PAID, with other data at each version."""
    handle = await shop.at(At.CREATED, total=7)
    await shop.move(handle.run_id, At.AWAITING_PAYMENT, data=Order(total=8))
    await shop.move(handle.run_id, At.PAID, data=Order(total=9, receipt="r"))
    return handle


async def test_a_fork_begins_with_the_status_and_the_data_of_the_version() -> None:
    shop = Shop()
    handle = await paid(shop)
    for version, status, total in (
        (1, At.CREATED, 7),
        (2, At.AWAITING_PAYMENT, 8),
        (3, At.PAID, 9),
    ):
        fork = await handle.fork(version, foreign_id=f"fork-{version}", reason="mended", by="ann")
        assert fork.outcome is TriggerOutcome.STARTED
        run = await fork.get()
        assert (run.status, run.data.total, run.version, run.visit) == (status, total, 1, 1)
        assert (run.foreign_id, run.run_state) == (f"fork-{version}", RunState.INITIATED)
        (entry,) = await fork.history()
        assert (entry.cause, entry.by) == (Cause.FORKED, "ann")
        assert entry.reason == f"fork of run {handle.run_id} at version {version}: mended"
        assert entry.data == run.data
    assert (await handle.get()).version == 3


async def test_a_fork_goes_on_from_there_and_sets_the_timeouts_of_its_status() -> None:
    workflow = shop()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Order())
        await handle.wait_for(At.AWAITING_PAYMENT)
        await tester.advance(timedelta(hours=49))
        assert (await handle.wait()).status is At.EXPIRED
        first, second = await handle.fork(1), await handle.fork(2, foreign_id="2")
        await first.wait_for(At.AWAITING_PAYMENT)
        await tester.advance(timedelta(hours=47))
        assert (await second.get()).status is At.AWAITING_PAYMENT
        await tester.advance(timedelta(hours=2))
        for fork in (first, second):
            assert (await fork.wait()).status is At.EXPIRED
        causes = [entry.cause for entry in await second.history()]
        assert causes == [Cause.FORKED, Cause.TIMEOUT]


async def test_a_fork_of_the_version_that_ended_the_run_has_ended_as_well() -> None:
    shop = Shop()
    handle = await paid(shop)
    await shop.move(handle.run_id, At.SHIPPED)
    assert (await (await handle.fork(4)).wait()).run_state is RunState.COMPLETED


async def test_a_fork_of_a_cancelled_or_paused_version_goes_on() -> None:
    shop = Shop()
    handle = await paid(shop)
    await handle.pause("wait")
    await handle.cancel("not wanted")
    for version in (4, 5):
        run = await (await handle.fork(version, foreign_id=f"{version}")).get()
        assert (run.status, run.run_state, run.data.total) == (At.PAID, RunState.INITIATED, 9)


async def test_the_foreign_id_of_an_unfinished_run_is_refused_and_names_that_run() -> None:
    shop = Shop()
    handle = await paid(shop)
    with pytest.raises(RunActive) as raised:
        await handle.fork(1)
    assert str(raised.value) == (
        f"workflow 'shop' has an unfinished run for '1': {handle.run_id}. Wait for its end, use"
        ' another foreign id, or trigger with if_active="join" to get that run.'
    )
    await handle.cancel("not wanted")
    assert (await (await handle.fork(1)).get()).foreign_id == "1"


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None, 4, 10**30])
async def test_a_version_that_the_run_does_not_have_is_refused(version: int) -> None:
    shop = Shop()
    handle = await paid(shop)
    with pytest.raises(InvalidInput, match=r"^version: "):
        await handle.fork(version, foreign_id="2")
    assert len(await shop.store.runs(RunQuery(workflow="shop"))) == 1


async def test_data_that_the_code_can_not_read_is_not_forked() -> None:
    shop = Shop()
    handle = await paid(shop)

    class Strict(Order):
        customer: str

    other = Workflow("shop", Strict, At, entry=tuple(At))

    @other.step(At.CREATED)
    async def reserve(run: Run[Strict, At]) -> Literal[At.PAID]:
        return At.PAID

    client = Client(other, shop.store, shop.clock)
    with pytest.raises(UnreadableData, match="customer"):
        await client.handle(handle.run_id).fork(1, foreign_id="2")


async def test_children_and_results_of_once_are_not_copied() -> None:
    case = Shipping(weight=5).starting().one_by_one()
    async with case.bench() as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await case.ship(bench)
        fork = await handle.fork(2, foreign_id="fork")
        await bench.pass_time()
        assert await case.states(bench, fork.run_id) == {}
        assert len(await case.states(bench, handle.run_id)) == 3


async def test_a_fork_calls_again_what_once_has_called_for_the_run() -> None:
    workflow, charged = Workflow("routed", Parcel, Route, entry=tuple(Route)), list[str]()

    async def charge(run_id: str) -> str:
        charged.append(run_id)
        return run_id

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.SENT] | Repeat:
        run.data.label = await run.once("charge", charge, run.run_id)
        return Repeat(timedelta(hours=1))

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        fork = await handle.fork(2, foreign_id="2")
        await tester.settle()
        assert charged == [handle.run_id, fork.run_id]


# --- keys ---------------------------------------------------------------------------------------


async def test_a_fork_that_is_repeated_with_its_key_gets_the_first_run() -> None:
    shop = Shop()
    handle = await paid(shop)
    forks = [
        await handle.fork(2, foreign_id="2", idempotency_key="k"),
        await handle.fork(2, foreign_id="2", idempotency_key="k"),
    ]
    assert forks[0].run_id == forks[1].run_id
    assert [fork.outcome for fork in forks] == [TriggerOutcome.STARTED, TriggerOutcome.KNOWN]
    with pytest.raises(KeyReused, match="another start_at and other data"):
        await handle.fork(3, foreign_id="2", idempotency_key="k")


async def test_a_connector_that_handles_its_event_again_makes_each_fork_once() -> None:
    shop = Shop()
    handle = await paid(shop)
    keyed = shop.client.with_default_keys(EventKeys("carts", "event-1")).handle(handle.run_id)
    first = [await keyed.fork(version, foreign_id=f"{version}0") for version in (1, 2)]
    again = [await keyed.fork(version, foreign_id=f"{version}0") for version in (1, 2)]
    assert [each.run_id for each in first] == [each.run_id for each in again]


async def test_of_many_callers_who_fork_a_run_under_its_foreign_id_one_wins() -> None:
    shop = Shop()
    handle = await paid(shop)
    await handle.cancel("not wanted")
    calls = [handle.fork(1 + number % 3) for number in range(CALLERS)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {Handle: 1, RunActive: CALLERS - 1}
    runs = await shop.store.runs(RunQuery(workflow="shop"))
    assert sum(not run.run_state.finished for run in runs) == 1


async def test_many_callers_with_one_key_get_the_same_fork() -> None:
    shop = Shop()
    handle = await paid(shop)
    calls = [handle.fork(2, foreign_id="2", idempotency_key="k") for _ in range(CALLERS)]
    forks = await asyncio.gather(*calls)
    assert len({fork.run_id for fork in forks}) == 1
    assert Counter(fork.outcome for fork in forks)[TriggerOutcome.STARTED] == 1


async def test_a_fork_beside_a_step_under_way_leaves_the_step_alone() -> None:
    workflow = Workflow("routed", Parcel, Route, entry=tuple(Route))
    gate, started = asyncio.Event(), list[str]()

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.SENT]:
        started.append(run.foreign_id)
        await gate.wait()
        return Route.SENT

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await bench.client(workflow).trigger("1", Parcel())
        await bench.pass_time()
        fork = await handle.fork(1, foreign_id="2")
        await bench.pass_time()
        assert started == ["1", "2"]
        gate.set()
        await bench.pass_time()
        for each in (handle, fork):
            assert (await each.get()).run_state is RunState.COMPLETED
