"""Middleware runs around the functions of connectors, hooks and schedules."""

from datetime import UTC, datetime, timedelta

from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.roles.layers import Noting, Order, packing
from workflow_ray import (
    Client,
    ConnectorEvent,
    FunctionCall,
    Proceed,
    Retry,
)
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemorySource


async def test_it_gets_the_number_of_the_attempt_at_an_event() -> None:
    noting = Noting()
    workflow = packing(noting)

    @workflow.connector("carts", MemorySource("attempts"), retry=Retry(attempts=3))
    async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        raise ValueError("broken")

    @workflow.schedule("hourly", every=timedelta(hours=1))
    async def hourly(tick: datetime) -> Parcel:
        raise ValueError("broken")

    async with WorkflowTester(workflow) as tester:
        await tester.feed("carts", b"{}")
        await tester.advance(timedelta(minutes=59))
        for seconds in (60, 1, 2):  # the schedule's pauses are 1 s and 2 s
            await tester.advance(timedelta(seconds=seconds))
    attempts = sorted((call.kind, call.attempt) for call in noting.calls)
    assert attempts == [("connector", number) for number in (1, 2, 3)] + [
        ("schedule", number) for number in (1, 2, 3)
    ]


async def test_a_call_of_proceed_that_is_not_awaited_loses_no_event() -> None:
    """None is what a handler returns, so only the call shows that the handler was meant to run."""
    handled = list[bytes]()

    async def forgetful(call: FunctionCall, proceed: Proceed) -> object:
        made = proceed()
        return await made if call.attempt == 3 else None

    workflow = packing(forgetful)

    @workflow.connector("carts", MemorySource("forgotten"), retry=Retry(attempts=3))
    async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        handled.append(event.data)

    async with WorkflowTester(workflow) as tester:
        await tester.feed("carts", b"{}")
        assert handled == []
        await tester.advance(timedelta(hours=1))
    assert handled == [b"{}"]


async def test_a_handler_whose_middleware_fails_is_tried_again() -> None:
    handled, noting = list[str](), Noting()

    async def refusing(call: FunctionCall, proceed: Proceed) -> object:
        if call.kind in ("connector", "hook") and call.attempt == 1:
            raise ConnectionError("away")
        return await proceed()

    workflow = packing(refusing, noting)

    @workflow.connector("carts", MemorySource("refused"))
    def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        handled.append(event.key)

    @workflow.on_complete
    def thank(run: ParcelRun) -> None:
        handled.append(run.foreign_id)

    async with WorkflowTester(workflow) as tester:
        await tester.client(workflow).trigger("run", Parcel())
        await tester.feed("carts", ("event", b"{}"))
        assert handled == []
        await tester.advance(timedelta(hours=1))
    assert sorted(handled) == ["event", "run"]
    assert {(call.kind, call.attempt) for call in noting.calls} == {
        ("step", 1),
        ("connector", 2),
        ("hook", 2),
    }


async def test_a_schedule_whose_middleware_returns_other_data_is_called_again() -> None:
    async def changing(call: FunctionCall, proceed: Proceed) -> object:
        value = await proceed()
        return Order() if call.attempt == 1 and call.kind == "schedule" else value

    workflow = packing(changing)

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> Parcel:
        return Parcel(label="hourly")

    async with WorkflowTester(workflow) as tester:
        await tester.advance(timedelta(hours=1))
        assert await tester.client(workflow).counts() == {}
        await tester.advance(timedelta(minutes=5))
        assert list((await tester.client(workflow).counts()).values()) == [1]


async def test_it_runs_around_a_schedule_that_a_client_triggers() -> None:
    noting = Noting()
    workflow = packing(noting)

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> Parcel:
        return Parcel()

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        await client.trigger_schedule("hourly")
        tick = datetime(2029, 1, 1, tzinfo=UTC)
        await client.backfill("hourly", tick, tick + timedelta(hours=1))
    ticks = [call.tick for call in noting.calls if call.kind == "schedule"]
    assert ticks == [datetime(2030, 1, 1, tzinfo=UTC), tick]
