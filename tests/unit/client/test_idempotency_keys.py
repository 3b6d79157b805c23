"""An idempotency key that is used again: with the same trigger, or with another one."""

from typing import Any, TypeAlias

import pytest

from tests.unit.faulty_store import FaultyStore
from tests.unit.parcels import Parcel, Route, packing, routed
from workflow_ray import Client, RunState, Trigger, TriggerOutcome
from workflow_ray.errors import KeyReused, RunActive
from workflow_ray.records import RunId, RunQuery
from workflow_ray.testing import FakeClock
from workflow_ray.testing.conformance.runs import new_run, step, store_all

ParcelClient: TypeAlias = Client[Parcel, Route]
SECRET = "4242-4242"
FIRST: dict[str, Any] = {"foreign_id": "parcel-1", "data": Parcel(weight=1, label=SECRET)}


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(FakeClock())


@pytest.fixture
def client(store: FaultyStore) -> ParcelClient:
    return Client(routed(), store, FakeClock())


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ({"foreign_id": "parcel-2"}, ["foreign_id"]),
        ({"data": Parcel(weight=2, label=SECRET)}, ["data"]),
        ({"start_at": Route.PACKED}, ["start_at"]),
        ({"foreign_id": "parcel-2", "data": Parcel()}, ["foreign_id", "data"]),
        ({"start_at": Route.PACKED, "data": Parcel()}, ["start_at", "data"]),
    ],
    ids=lambda value: "-".join(value),
)
@pytest.mark.parametrize("if_active", ["raise", "join"])
async def test_a_key_that_comes_with_another_trigger_is_refused(
    client: ParcelClient,
    store: FaultyStore,
    changed: dict[str, Any],
    differing: list[str],
    if_active: Any,
) -> None:
    first = await client.trigger(**FIRST, idempotency_key="k")
    with pytest.raises(KeyReused) as raised:
        await client.trigger(**(FIRST | changed), idempotency_key="k", if_active=if_active)
    error = raised.value
    assert (error.run_id, error.differing, error.exit_code) == (first.run_id, differing, 4)
    assert [record.run_id for record in await store.runs(RunQuery(workflow="routed"))] == [
        first.run_id
    ]


async def test_the_error_names_workflow_key_and_run_and_never_shows_the_data(
    client: ParcelClient,
) -> None:
    first = await client.trigger(**FIRST, idempotency_key="cart-9")
    with pytest.raises(KeyReused) as raised:
        await client.trigger("parcel-2", Parcel(label=f"not {SECRET}"), idempotency_key="cart-9")
    assert str(raised.value) == (
        "workflow 'routed': idempotency key 'cart-9' was first used for run"
        f" {first.run_id}, with another foreign_id and other data. Repeat a call unchanged, or"
        " use another key for another one."
    )
    assert str(KeyReused(*raised.value.args)) == str(raised.value)  # as unpickling makes it


async def test_a_repeat_is_known_whatever_became_of_the_run(
    client: ParcelClient, store: FaultyStore
) -> None:
    first = await client.trigger(**FIRST, idempotency_key="k")
    (record,) = await store.lookup([RunId(first.run_id)])
    assert record is not None
    await store_all(store, step(record, run_state=RunState.COMPLETED, data=b'{"weight": 7}'))
    again = await client.trigger(**FIRST, idempotency_key="k")
    assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)


async def test_a_reused_key_is_reported_before_an_active_run(client: ParcelClient) -> None:
    await client.trigger("parcel-2", Parcel())
    await client.trigger(**FIRST, idempotency_key="k")
    with pytest.raises(KeyReused):
        await client.trigger("parcel-2", Parcel(), idempotency_key="k")
    with pytest.raises(RunActive):
        await client.trigger("parcel-2", Parcel(), idempotency_key="l")


async def test_each_workflow_has_keys_of_its_own(store: FaultyStore) -> None:
    one = await Client(routed(), store, FakeClock()).trigger(**FIRST, idempotency_key="k")
    two = await Client(packing(), store, FakeClock()).trigger("b", Parcel(), idempotency_key="k")
    assert (one.outcome, two.outcome) == (TriggerOutcome.STARTED, TriggerOutcome.STARTED)


async def test_many_triggers_may_reuse_keys_beside_others_that_repeat_them(
    client: ParcelClient,
) -> None:
    firsts: list[Trigger[Parcel, Route]] = [
        Trigger(f"{n}", Parcel(weight=n), idempotency_key=f"{n}") for n in range(60)
    ]
    started = [handle.run_id for handle, _ in await client.trigger_many(firsts)]
    again: list[Trigger[Parcel, Route]] = [
        Trigger(f"{n}", Parcel(weight=n % 40), idempotency_key=f"{n}") for n in range(60)
    ]
    answers = await client.trigger_many(again)
    expected = [TriggerOutcome.KNOWN] * 40 + [TriggerOutcome.KEY_REUSED] * 20
    assert [outcome for _, outcome in answers] == expected
    assert [handle.run_id for handle, _ in answers] == started


async def test_of_one_key_in_one_call_the_first_trigger_counts(client: ParcelClient) -> None:
    answers = await client.trigger_many(
        [Trigger("1", Parcel(weight=weight), idempotency_key="k") for weight in (1, 1, 2)]
    )
    assert [outcome for _, outcome in answers] == [
        TriggerOutcome.STARTED,
        TriggerOutcome.KNOWN,
        TriggerOutcome.KEY_REUSED,
    ]


async def test_naming_the_status_that_a_run_starts_at_anyway_is_a_repeat(
    client: ParcelClient,
) -> None:
    await client.trigger(**FIRST, idempotency_key="k")
    again = await client.trigger(**FIRST, start_at=Route.NEW, idempotency_key="k")
    assert again.outcome is TriggerOutcome.KNOWN


async def test_where_the_first_data_cannot_be_read_any_more_the_digest_decides(
    client: ParcelClient, store: FaultyStore
) -> None:
    unreadable = new_run("parcel-1", workflow="routed", key="k", digest=bytes(16), data=b"")
    await store_all(store, unreadable)
    with pytest.raises(KeyReused, match="with another foreign_id and other data"):
        await client.trigger("parcel-1", Parcel(), idempotency_key="k")


async def test_a_key_that_was_stored_without_a_digest_is_compared_with_nothing(
    client: ParcelClient, store: FaultyStore
) -> None:
    await store_all(store, old := new_run("parcel-1", workflow="routed", key="k"))
    again = await client.trigger("parcel-2", Parcel(weight=2), idempotency_key="k")
    assert (again.run_id, again.outcome) == (old.run_id, TriggerOutcome.KNOWN)


async def test_a_handle_tells_a_new_run_from_a_known_one_and_from_one_that_was_joined(
    client: ParcelClient,
) -> None:
    started = await client.trigger("1", Parcel(), idempotency_key="k")
    known = await client.trigger("1", Parcel(), idempotency_key="k")
    joined = await client.trigger("1", Parcel(weight=2), if_active="join")
    assert started.run_id == known.run_id == joined.run_id
    assert [handle.outcome for handle in (started, known, joined)] == [
        TriggerOutcome.STARTED,
        TriggerOutcome.KNOWN,
        TriggerOutcome.ACTIVE,
    ]
    assert client.handle(started.run_id).outcome is None
