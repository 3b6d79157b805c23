"""Clients start runs."""

import asyncio
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import pytest

from tests.unit.faulty_store import FaultyStore
from tests.unit.parcels import Parcel, Route, routed
from workflow_ray import Client, RunState, Trigger, TriggerOutcome
from workflow_ray.errors import InvalidInput, RunActive, StoreReadOnly, StoreUnavailable
from workflow_ray.records import MAX_DATA, MAX_FOREIGN_ID, RunQuery
from workflow_ray.testing import FakeClock

ParcelClient: TypeAlias = Client[Parcel, Route]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> FaultyStore:
    return FaultyStore(clock)


@pytest.fixture
def client(store: FaultyStore, clock: FakeClock) -> ParcelClient:
    return Client(routed(), store, clock)


async def test_a_run_is_stored_at_the_start_when_trigger_returns(client: ParcelClient) -> None:
    handle = await client.trigger("parcel-1", Parcel(weight=3))
    run = await handle.get()
    assert (run.foreign_id, run.status, run.run_state, run.data) == (
        "parcel-1",
        Route.NEW,
        RunState.INITIATED,
        Parcel(weight=3),
    )
    assert (run.version, run.visit, run.run_id) == (1, 1, handle.run_id)


async def test_a_run_may_start_at_any_status(client: ParcelClient) -> None:
    assert (
        await (await client.trigger("1", Parcel(), start_at=Route.PACKED)).get()
    ).status is Route.PACKED
    ended = await (await client.trigger("2", Parcel(), start_at=Route.SENT)).get()
    assert ended.run_state is RunState.COMPLETED


async def test_a_foreign_id_has_one_unfinished_run(client: ParcelClient) -> None:
    first = await client.trigger("1", Parcel())
    with pytest.raises(RunActive, match="has an unfinished run for '1'") as raised:
        await client.trigger("1", Parcel(weight=2))
    assert raised.value.run_id == first.run_id
    assert (await first.get()).data == Parcel()


async def test_a_trigger_may_join_the_unfinished_run(client: ParcelClient) -> None:
    first = await client.trigger("1", Parcel())
    assert (await client.trigger("1", Parcel(weight=2), if_active="join")).run_id == first.run_id


async def test_a_foreign_id_is_free_again_when_its_run_has_ended(client: ParcelClient) -> None:
    first = await client.trigger("1", Parcel(), start_at=Route.SENT)
    second = await client.trigger("1", Parcel())
    assert second.run_id != first.run_id
    assert (await client.latest("1")).run_id == second.run_id


@pytest.mark.parametrize("if_active", ["raise", "join"])
async def test_an_idempotency_key_leads_to_its_first_run_even_when_that_has_ended(
    client: ParcelClient, if_active: Literal["raise", "join"]
) -> None:
    first = await client.trigger("1", Parcel(), start_at=Route.SENT, idempotency_key="k")
    again = await client.trigger(
        "1", Parcel(), start_at=Route.SENT, idempotency_key="k", if_active=if_active
    )
    assert again.run_id == first.run_id


class Other(Parcel):
    more: str = ""


def heavy() -> Parcel:
    parcel = Parcel()
    wrong: Any = "heavy"
    parcel.weight = wrong
    return parcel


@pytest.mark.parametrize(
    ("foreign_id", "data", "options", "message"),
    [
        ("", Parcel(), {}, "foreign_id: it is empty"),
        (
            "x" * (MAX_FOREIGN_ID + 1),
            Parcel(),
            {},
            "foreign_id: it has 256 characters; 255 are allowed",
        ),
        ("a\0b", Parcel(), {}, "foreign_id: it holds a NUL"),
        ("\ud800", Parcel(), {}, "foreign_id: it holds a NUL or half a surrogate pair"),
        (7, Parcel(), {}, "foreign_id: it must be text, not int"),
        ("1", Other(), {}, "of type Other; it must be Parcel itself"),
        ("1", {"weight": 1}, {}, "of type dict; it must be Parcel itself"),
        ("1", heavy(), {}, "aren't of their field's type: weight"),
        ("1", Parcel(label="x" * MAX_DATA), {}, f"bytes long; {MAX_DATA} are allowed"),
        ("1", Parcel(), {"idempotency_key": ""}, "idempotency_key: it is empty"),
        (
            "1",
            Parcel(),
            {"start_at": 3},
            "start_at: 3 is not a status of workflow 'routed'; give one, e.g. Route.NEW",
        ),
        ("1", Parcel(), {"if_active": "restart"}, "if_active: "),
        ("1", Parcel(), {"delay": -1}, "delay: "),
        ("1", Parcel(), {"delay": 5, "start_at": Route.SENT}, "delay: Route.SENT has no step"),
    ],
    ids=range(14),
)
async def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    client: ParcelClient,
    store: FaultyStore,
    foreign_id: Any,
    data: Any,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InvalidInput) as raised:
        await client.trigger(foreign_id, data, **options)
    assert message in str(raised.value)
    assert "heavy" not in str(raised.value)
    assert await store.runs(RunQuery(workflow="routed")) == []


async def test_many_triggers_get_one_answer_each_in_order(client: ParcelClient) -> None:
    active = await client.trigger("active", Parcel())
    known = await client.trigger("ended", Parcel(), start_at=Route.SENT, idempotency_key="k")
    answers = await client.trigger_many(
        [
            Trigger("new", Parcel(weight=1)),
            Trigger("active", Parcel(weight=2)),
            Trigger("ended", Parcel(), start_at=Route.SENT, idempotency_key="k"),
            Trigger("new", Parcel(weight=4)),
            Trigger("ended", Parcel(weight=3), idempotency_key="k"),
            Trigger("late", Parcel(weight=5), start_at=Route.PACKED),
        ]
    )
    outcomes = [outcome for _, outcome in answers]
    started, late = answers[0][0], answers[5][0]
    assert outcomes == [
        TriggerOutcome.STARTED,
        TriggerOutcome.ACTIVE,
        TriggerOutcome.KNOWN,
        TriggerOutcome.ACTIVE,
        TriggerOutcome.KEY_REUSED,
        TriggerOutcome.STARTED,
    ]
    assert [handle.outcome for handle, _ in answers] == outcomes
    assert [handle.run_id for handle, _ in answers] == [
        started.run_id,
        active.run_id,
        known.run_id,
        started.run_id,
        known.run_id,
        late.run_id,
    ]
    assert ((await started.get()).data, (await late.get()).status) == (
        Parcel(weight=1),
        Route.PACKED,
    )


async def test_more_triggers_than_fit_a_batch_are_all_stored(client: ParcelClient) -> None:
    answers = await client.trigger_many(Trigger(f"{n}", Parcel(weight=n)) for n in range(1100))
    assert {outcome for _, outcome in answers} == {TriggerOutcome.STARTED}
    assert [run.data.weight async for run in client.runs()] == list(range(1100))


async def test_if_one_of_many_triggers_is_invalid_none_is_written(client: ParcelClient) -> None:
    with pytest.raises(InvalidInput, match=r"triggers\[1\]: foreign_id: it is empty"):
        await client.trigger_many([Trigger("1", Parcel()), Trigger("", Parcel())])
    assert [run async for run in client.runs()] == []


async def test_no_triggers_start_no_runs(client: ParcelClient) -> None:
    assert await client.trigger_many([]) == []


async def test_a_trigger_whose_answer_got_lost_is_repeated_and_starts_one_run(
    client: ParcelClient, store: FaultyStore, clock: FakeClock
) -> None:
    store.lose_answers_to_clients = 2
    trigger = asyncio.create_task(client.trigger("1", Parcel()))
    await clock.advance(timedelta(seconds=1))
    handle = await trigger
    assert [run.run_id async for run in client.runs()] == [handle.run_id]


async def test_a_store_that_does_not_answer_for_half_a_minute_is_unavailable(
    client: ParcelClient, store: FaultyStore, clock: FakeClock
) -> None:
    store.lose_answers_to_clients = 1000
    trigger = asyncio.create_task(client.trigger("1", Parcel()))
    await clock.advance(timedelta(seconds=27))
    assert not trigger.done()
    await clock.advance(timedelta(seconds=3))
    with pytest.raises(StoreUnavailable):
        await trigger


@pytest.mark.parametrize("patience", [2.0, 60.0])
async def test_a_client_gives_up_on_a_store_that_does_not_answer_after_its_patience(
    clock: FakeClock, patience: float
) -> None:
    store = FaultyStore(clock)
    store.read_only = True
    asking = asyncio.create_task(
        Client(routed(), store, clock, patience=patience).trigger("1", Parcel())
    )
    await clock.advance(timedelta(seconds=patience / 2))
    assert not asking.done()
    await clock.advance(timedelta(seconds=patience))
    with pytest.raises(StoreReadOnly):
        await asking
