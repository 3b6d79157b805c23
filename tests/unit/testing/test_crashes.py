"""A test crashes the engine at a commit, and it starts again: what was in doubt is tried again."""

import asyncio
import threading
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from tests.shop import shop
from tests.shop.thanks import note_thanks
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Route, RoutedRun, Stage, packing, parcels
from workflow_ray import Cause, Client, ConnectorEvent, RunState, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.testing import WorkflowTester, WorkflowTesterFactory, assert_history
from workflow_ray_adapters.memory import MemorySource


def charging(charges: list[str], *, once: bool) -> Workflow[Parcel, Route]:
    """NEW -> PACKED -> SENT. Its first step has an effect outside, which it may repeat."""
    workflow = Workflow("charging", Parcel, Route, entry=[Route.LOST])

    @workflow.step(Route.NEW)
    async def pay(run: RoutedRun) -> Literal[Route.PACKED]:
        async def charge() -> int:
            charges.append(run.foreign_id)
            return len(charges)

        _ = await run.once("charge", charge) if once else await charge()
        return Route.PACKED

    @workflow.step(Route.PACKED)
    def send(run: RoutedRun) -> Literal[Route.SENT]:
        return Route.SENT

    return workflow


async def crashed(workflow: Workflow[Parcel, Route], commit: int, side: Any) -> list[str]:
    """Run one run with a crash, and return the crashes that happened."""
    tester = WorkflowTester(workflow)
    tester.crash_at(commit, side)
    async with tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await handle.wait()
        await assert_history(handle, [Route.NEW, Route.PACKED, Route.SENT])
    return tester.crashes


async def commit_of(workflow: Workflow[Parcel, Route], text: str) -> int:
    """The number of the commit that is described by the text."""
    for commit in range(1, 30):
        if any(text in each for each in await crashed(workflow, commit, "after")):
            return commit
    raise AssertionError(f"no commit is described by {text!r}")


# --- the whole of a workflow --------------------------------------------------------------------


class Warehouse(shop.Warehouse):
    """Reserves once for each key, as a repeatable step needs it."""

    def __init__(self) -> None:
        self.reserved = dict[str, str]()

    async def reserve(self, order: str, *, idempotency_key: str) -> None:
        self.reserved.setdefault(idempotency_key, order)


@pytest.mark.each_crash
async def test_an_order_of_the_shop_is_shipped_whatever_commit_the_engine_crashes_at(
    workflow_tester: WorkflowTesterFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, thanked = Warehouse(), note_thanks(monkeypatch)
    async with workflow_tester(
        shop.orders, shop.invoices, resources={shop.warehouse: warehouse}
    ) as tester:
        handle = await tester.client(shop.orders).trigger("order-42", shop.Order(total=40))
        await handle.wait_for(shop.OrderStatus.AWAITING_PAYMENT)
        await tester.callback(shop.paid, "order-42", shop.Payment(receipt="r1"))
        run = await handle.wait_for(shop.OrderStatus.SHIPPED)
        await tester.settle()
        await assert_history(
            handle,
            [
                shop.OrderStatus.CREATED,
                shop.OrderStatus.AWAITING_PAYMENT,
                shop.OrderStatus.PAID,
                shop.OrderStatus.SCORED,
                shop.OrderStatus.INVOICING,
                shop.OrderStatus.SHIPPED,
            ],
        )
        assert [entry.version for entry in await handle.history()] == [1, 2, 3, 4, 5, 6]
        children = [child async for child in handle.children(shop.invoices)]
    assert list(warehouse.reserved.values()) == ["order-42"]
    assert (run.data.receipt, run.data.risk) == ("charge-40", 0.004)
    assert [child.run_state for child in children] == [RunState.COMPLETED]
    assert set(thanked) == {"order-42"}


@pytest.mark.each_crash
async def test_an_unpaid_order_expires_whatever_commit_the_engine_crashes_at(
    workflow_tester: WorkflowTesterFactory,
) -> None:
    async with workflow_tester(shop.orders, shop.invoices) as tester:
        handle = await tester.client(shop.orders).trigger("order-42", shop.Order(total=40))
        await tester.advance(timedelta(hours=49))
        await assert_history(
            handle,
            [
                (shop.OrderStatus.CREATED, Cause.TRIGGER),
                (shop.OrderStatus.AWAITING_PAYMENT, Cause.STEP),
                (shop.OrderStatus.EXPIRED, Cause.TIMEOUT),
            ],
        )


@pytest.mark.each_crash
async def test_events_and_ticks_start_one_run_each_whatever_commit_the_engine_crashes_at(
    workflow_tester: WorkflowTesterFactory,
) -> None:
    workflow = packing()

    @workflow.connector("carts", MemorySource("crashes"))
    async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await client.trigger(event.key, Parcel())

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> Parcel:
        return Parcel()

    async with workflow_tester(workflow) as tester:
        await tester.feed("carts", ("a", b""), ("b", b""))
        await tester.advance(timedelta(hours=2))
        client = tester.client(workflow)
        runs = [run.foreign_id async for run in client.runs(run_state=RunState.COMPLETED)]
    assert sorted(runs) == [
        "a",
        "b",
        "hourly-2030-01-01T01:00:00Z",
        "hourly-2030-01-01T02:00:00Z",
    ]


# --- where it crashes ---------------------------------------------------------------------------


@pytest.mark.parametrize("once", [True, False])
async def test_a_crash_before_a_steps_commit_runs_the_step_again(once: bool) -> None:
    step = await commit_of(charging([], once=once), "at PACKED")
    charges = list[str]()
    workflow = charging(charges, once=once)
    (text,) = await crashed(workflow, step, "before")
    assert charges == (["1"] if once else ["1", "1"])
    assert text == (
        f"directly before commit {step}: charging-1-consumer-1-of-1:"
        " version 2 of charging '1' at PACKED"
    )


async def test_a_crash_after_a_steps_commit_does_not_run_it_again() -> None:
    step = await commit_of(charging([], once=False), "at PACKED")
    charges = list[str]()
    await crashed(charging(charges, once=False), step, "after")
    assert charges == ["1"]


async def test_a_crash_before_a_result_of_once_is_stored_makes_the_call_again() -> None:
    result = await commit_of(charging([], once=True), "the result of once 'charge'")
    charges = list[str]()
    await crashed(charging(charges, once=True), result, "before")
    assert charges == ["1", "1"]


async def test_a_crash_costs_no_attempt_and_no_time() -> None:
    step = await commit_of(charging([], once=False), "at PACKED")
    tester = WorkflowTester(workflow := charging([], once=False))
    tester.crash_at(step)
    async with tester:
        before = tester.now
        handle = await tester.client(workflow).trigger("1", Parcel())
        run = await handle.wait()
        assert [entry.cause for entry in await handle.history()] == [
            Cause.TRIGGER,
            Cause.STEP,
            Cause.STEP,
        ]
    assert (run.attempt, tester.now, len(tester.crashes)) == (0, before, 1)


async def test_it_may_crash_again_while_it_recovers() -> None:
    """Then the attempt is counted before it begins, as for a step that kills its process."""
    step = await commit_of(charging([], once=False), "at PACKED")
    charges = list[str]()
    tester = WorkflowTester(workflow := charging(charges, once=False))
    tester.crash_at(step)
    async with tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        tester.crash_at(step + 5)
        await tester.advance(timedelta(minutes=1))
        assert (await handle.wait()).status is Route.SENT
    assert len(tester.crashes) == 2
    assert len(charges) in (2, 3)


@pytest.mark.each_crash
async def test_what_is_in_hand_when_the_tester_is_left_is_finished_in_spite_of_a_crash(
    workflow_tester: WorkflowTesterFactory,
) -> None:
    workflow, begun = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.append(run.foreign_id)
        for _ in range(50):
            await asyncio.sleep(0)
        return Stage.DONE

    async with workflow_tester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        while not begun:
            await asyncio.sleep(0)
    assert (await handle.get()).status is Stage.DONE


# --- what a crash ends --------------------------------------------------------------------------


def waiting_for(gate: asyncio.Event, begun: list[str], ends: list[str]) -> Parcels:
    """Its step waits for the gate in the run "slow"."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.append(run.foreign_id)
        try:
            if run.foreign_id == "slow":
                await gate.wait()
        except asyncio.CancelledError:
            ends.append(run.foreign_id)
            raise
        return Stage.DONE

    return workflow


async def test_steps_that_run_are_cut_off_and_run_again() -> None:
    gate, begun, ends = asyncio.Event(), list[str](), list[str]()
    workflow = waiting_for(gate, begun, ends)
    async with WorkflowTester(workflow) as tester:
        slow = await tester.client(workflow).trigger("slow", Parcel())
        waiting = asyncio.create_task(slow.wait())
        while not begun:
            await asyncio.sleep(0)
        tester.crash_at(tester.commits + 2)
        await tester.client(workflow).trigger("quick", Parcel())
        while not tester.crashes:
            await asyncio.sleep(0)
        gate.set()
        assert (await waiting).status is Stage.DONE
        quick = await tester.client(workflow).latest("quick")
        assert quick.status is Stage.DONE
    assert ends == ["slow"]


async def test_a_plain_step_that_runs_goes_on_in_its_thread_and_runs_again() -> None:
    gate, calls = threading.Event(), list[str]()
    workflow = parcels()

    @workflow.step(Stage.NEW)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        calls.append(run.foreign_id)
        if run.foreign_id == "slow":
            gate.wait()
        return Stage.DONE

    async with WorkflowTester(workflow) as tester:
        slow = await tester.client(workflow).trigger("slow", Parcel())
        waiting = asyncio.create_task(slow.wait())
        while not calls:
            await asyncio.sleep(0)
        tester.crash_at(tester.commits + 2)
        await tester.client(workflow).trigger("quick", Parcel())
        while calls.count("slow") < 2:
            await asyncio.sleep(0)
        gate.set()
        assert (await waiting).status is Stage.DONE
        await assert_history(slow, [Stage.NEW, Stage.DONE])
    assert len(tester.crashes) == 1


async def test_what_a_role_writes_after_its_crash_does_not_reach_the_store() -> None:
    written, workflow = list[str](), packing()

    @workflow.connector("carts", MemorySource("zombie"))
    async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        try:
            await client.trigger("first", Parcel())
        finally:
            if not written:
                written.append("a zombie")
                await client.trigger("zombie", Parcel())

    tester = WorkflowTester(workflow)
    async with tester:
        tester.crash_at(tester.commits + 2)
        await tester.feed("carts", b"")
        foreign_ids = {run.foreign_id async for run in tester.client(workflow).runs()}
    assert len(tester.crashes) == 1
    assert foreign_ids == {"first"}
    assert written == ["a zombie"]


# --- arguments ----------------------------------------------------------------------------------


async def test_a_commit_that_is_made_already_is_refused() -> None:
    async with WorkflowTester(packing()) as tester:
        with pytest.raises(InvalidInput, match=f"name one from {tester.commits + 1} up"):
            tester.crash_at(tester.commits)
