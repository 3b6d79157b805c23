"""Idempotency keys that come again: with the same trigger, or with another one."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from tests.unit.bench import FaultyStore
from tests.unit.parcels import Parcel, Route, packing, routed
from workflow_ray import Client, Run, RunState, Status, Trigger, TriggerOutcome, Workflow
from workflow_ray.errors import KeyReused, RunActive
from workflow_ray.records import RunId, RunQuery, Version
from workflow_ray.testing import FakeClock
from workflow_ray.testing.conformance.runs import new_run, step, store_all

ParcelClient: TypeAlias = Client[Parcel, Route]
D = TypeVar("D", bound=BaseModel)
SECRET = "4242-4242"


class CountingStore(FaultyStore):
    """Counts the histories that are read."""

    histories = 0

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> Any:
        self.histories += 1
        return await super().history(run_id, after=after, limit=limit)


class Stage(Status):
    NEW = 1
    READY = 2
    DONE = 3


class Tagged(BaseModel):
    tags: list[str] = []
    rates: dict[str, float] = {}


class Basket(BaseModel):
    items: frozenset[int] = frozenset()


def staged(data: type[D], *, start: Stage = Stage.NEW) -> Workflow[D, Stage]:
    """NEW and READY lead to each other, so that a run may start at either."""
    workflow = Workflow("staged", data, Stage, start=start)

    @workflow.step(Stage.NEW)
    async def prepare(run: Run[D, Stage]) -> Literal[Stage.READY]:
        return Stage.READY

    @workflow.step(Stage.READY)
    async def finish(run: Run[D, Stage]) -> Literal[Stage.NEW, Stage.DONE]:
        return Stage.DONE

    return workflow


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(FakeClock())


@pytest.fixture
def client(store: CountingStore) -> ParcelClient:
    return Client(routed(), store, FakeClock())


FIRST: dict[str, Any] = {"foreign_id": "parcel-1", "data": Parcel(weight=1, label=SECRET)}


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
    store: CountingStore,
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
        f" {first.run_id}, with another foreign_id and other data. Repeat a trigger unchanged, or"
        " use another key for another run."
    )
    assert str(KeyReused(*raised.value.args)) == str(raised.value)  # as pickle makes it


async def test_a_repeat_is_known_whatever_became_of_the_run(
    client: ParcelClient, store: CountingStore
) -> None:
    first = await client.trigger(**FIRST, idempotency_key="k")
    (record,) = await store.lookup([RunId(first.run_id)])
    assert record is not None
    await store_all(store, step(record, run_state=RunState.COMPLETED, data=b'{"weight": 7}'))
    again = await client.trigger(**FIRST, idempotency_key="k")
    assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)


async def test_a_reused_key_is_told_before_an_active_run(client: ParcelClient) -> None:
    await client.trigger("parcel-2", Parcel())
    await client.trigger(**FIRST, idempotency_key="k")
    with pytest.raises(KeyReused):
        await client.trigger("parcel-2", Parcel(), idempotency_key="k")
    with pytest.raises(RunActive):
        await client.trigger("parcel-2", Parcel(), idempotency_key="l")


async def test_each_workflow_has_keys_of_its_own(store: CountingStore) -> None:
    one = await Client(routed(), store, FakeClock()).trigger(**FIRST, idempotency_key="k")
    two = await Client(packing(), store, FakeClock()).trigger("b", Parcel(), idempotency_key="k")
    assert (one.outcome, two.outcome) == (TriggerOutcome.STARTED, TriggerOutcome.STARTED)


# --- what counts as the same trigger ------------------------------------------------------------


async def test_repeats_are_recognised_by_their_digests_and_nothing_is_read_for_them(
    client: ParcelClient, store: CountingStore
) -> None:
    triggers: list[Trigger[Parcel, Route]] = [
        Trigger(f"{n}", Parcel(weight=n), idempotency_key=f"{n}") for n in range(50)
    ]
    await client.trigger_many(triggers)
    answers = await client.trigger_many(triggers)
    assert {outcome for _, outcome in answers} == {TriggerOutcome.KNOWN}
    assert store.histories == 0


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


async def test_dictionaries_are_equal_whatever_their_order(store: CountingStore) -> None:
    client = Client(staged(Tagged), store, FakeClock())
    one, other = Tagged(rates={"a": 1, "b": 2}), Tagged(rates={"b": 2, "a": 1})
    await client.trigger("1", one, idempotency_key="k")
    assert (await client.trigger("1", other, idempotency_key="k")).outcome is TriggerOutcome.KNOWN
    assert store.histories == 1  # the bytes differ


async def test_lists_are_equal_only_in_the_same_order(store: CountingStore) -> None:
    client = Client(staged(Tagged), store, FakeClock())
    await client.trigger("1", Tagged(tags=["a", "b"]), idempotency_key="k")
    with pytest.raises(KeyReused, match="with other data"):
        await client.trigger("1", Tagged(tags=["b", "a"]), idempotency_key="k")


async def test_sets_are_equal_whatever_the_order_that_they_are_written_in(
    store: CountingStore,
) -> None:
    """Within one process, too: 0 and 8 share a place in a small set, so that the first one added
    comes first.
    """
    workflow = staged(Basket)
    one, other = Basket(items=frozenset([0, 8])), Basket(items=frozenset([8, 0]))
    assert (one == other, workflow.encode(one) == workflow.encode(other)) == (True, False)
    client = Client(workflow, store, FakeClock())
    await client.trigger("1", one, idempotency_key="k")
    assert (await client.trigger("1", other, idempotency_key="k")).outcome is TriggerOutcome.KNOWN
    with pytest.raises(KeyReused, match="with other data"):
        await client.trigger("1", Basket(items=frozenset([0, 9])), idempotency_key="k")


PROCESS = """
import asyncio, sys
from pydantic import BaseModel
from workflow_ray import Client, Run, Status, Workflow
from workflow_ray.errors import KeyReused
from workflow_ray.ports import SystemClock, adapter_for, records_adapter

class Stage(Status):
    NEW = 1

class Labels(BaseModel):
    names: set[str]
    nested: dict[str, list[frozenset[str]]]

async def main(url, *names):
    adapter_for(url).create(url)
    labels = Labels(names=set(names), nested={"a": [frozenset(names)]})
    workflow = Workflow("labels", Labels, Stage)
    async with records_adapter(url).open_records(url, clock=SystemClock()) as store:
        try:
            handle = await Client(workflow, store, SystemClock()).trigger(
                "1", labels, idempotency_key="k"
            )
            print(handle.outcome.name, handle.run_id, workflow.encode(labels).hex())
        except KeyReused as error:
            print("REFUSED", error.run_id, workflow.encode(labels).hex())

asyncio.run(main(*sys.argv[1:]))
"""
NAMES = [f"name-{n}" for n in range(20)]


def triggered(url: str, seed: int, names: list[str]) -> list[str]:
    """What the trigger of another process led to, the run, and the data as it is stored."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", PROCESS, url, *names]
    made = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return made.stdout.split()


def test_a_repeat_by_another_process_that_writes_its_sets_in_another_order_is_known(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    outcome, run_id, written = triggered(url, 1, NAMES)
    again, same_run_id, rewritten = triggered(url, 2, NAMES)
    assert written != rewritten
    assert (outcome, again, same_run_id) == ("STARTED", "KNOWN", run_id)
    assert triggered(url, 3, [*NAMES[:-1], "another"])[:2] == ["REFUSED", run_id]


async def test_a_repeat_by_code_whose_model_has_a_new_field_is_known(
    store: CountingStore,
) -> None:
    class Grown(Basket):
        note: str = "none"

    await Client(staged(Basket), store, FakeClock()).trigger("1", Basket(), idempotency_key="k")
    client = Client(staged(Grown), store, FakeClock())
    assert (await client.trigger("1", Grown(), idempotency_key="k")).outcome is TriggerOutcome.KNOWN
    with pytest.raises(KeyReused):
        await client.trigger("1", Grown(note="new"), idempotency_key="k")


class Line(BaseModel):
    item: str
    line_id: UUID = Field(default_factory=uuid4)


class Order(BaseModel):
    lines: list[Line] = Field(default_factory=list[Line])
    by_name: dict[str, Line] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    ordered_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


def order(**fields: Any) -> Order:
    return Order(lines=[Line(item="pen")], by_name={"pen": Line(item="pen")}, **fields)


async def test_what_default_factories_make_up_does_not_count(store: CountingStore) -> None:
    client = Client(staged(Order), store, FakeClock())
    first = await client.trigger("1", one := order(), idempotency_key="k")
    assert one != order()
    again = await client.trigger("1", order(), idempotency_key="k")
    assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)
    assert (await again.get()).data == one


@pytest.mark.parametrize(
    "other",
    [
        lambda: Order(lines=[Line(item="ink")], by_name={"pen": Line(item="pen")}),
        lambda: Order(lines=[Line(item="pen")] * 2, by_name={"pen": Line(item="pen")}),
        lambda: Order(lines=[Line(item="pen")], by_name={"ink": Line(item="pen")}),
        lambda: Order(lines=[Line(item="pen")]),
        lambda: order(ordered_at=datetime(2020, 1, 1, tzinfo=UTC)),
        lambda: order(notes=["a"]),
    ],
    ids=range(6),
)
async def test_what_the_caller_gives_counts(
    store: CountingStore, other: Callable[[], Order]
) -> None:
    client = Client(staged(Order), store, FakeClock())
    await client.trigger("1", order(), idempotency_key="k")
    with pytest.raises(KeyReused, match="with other data"):
        await client.trigger("1", other(), idempotency_key="k")


async def test_a_repeat_is_known_after_a_deploy_that_moves_the_start(store: CountingStore) -> None:
    first = await Client(staged(Basket), store, FakeClock()).trigger(
        "1", Basket(), idempotency_key="k"
    )
    later = Client(staged(Basket, start=Stage.READY), store, FakeClock())
    again = await later.trigger("1", Basket(), idempotency_key="k")
    assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)


async def test_naming_the_status_that_a_run_starts_at_anyway_is_a_repeat(
    client: ParcelClient,
) -> None:
    await client.trigger(**FIRST, idempotency_key="k")
    again = await client.trigger(**FIRST, start_at=Route.NEW, idempotency_key="k")
    assert again.outcome is TriggerOutcome.KNOWN


async def test_where_the_first_data_cannot_be_read_any_more_the_digest_decides(
    client: ParcelClient, store: CountingStore
) -> None:
    unreadable = new_run("parcel-1", workflow="routed", key="k", digest=bytes(16), data=b"")
    await store_all(store, unreadable)
    with pytest.raises(KeyReused, match="with another foreign_id and other data"):
        await client.trigger("parcel-1", Parcel(), idempotency_key="k")


async def test_a_key_that_was_stored_without_a_digest_is_compared_with_nothing(
    client: ParcelClient, store: CountingStore
) -> None:
    await store_all(store, old := new_run("parcel-1", workflow="routed", key="k"))
    again = await client.trigger("parcel-2", Parcel(weight=2), idempotency_key="k")
    assert (again.run_id, again.outcome) == (old.run_id, TriggerOutcome.KNOWN)


# --- outcomes -----------------------------------------------------------------------------------


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
