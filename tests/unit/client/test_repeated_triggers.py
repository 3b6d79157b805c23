"""What counts as a repeat of the trigger that an idempotency key was first used for."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from tests.unit.faulty_store import FaultyStore
from tests.unit.parcels import Parcel, Route, routed
from workflow_ray import Client, Run, Status, Trigger, TriggerOutcome, Workflow
from workflow_ray.errors import KeyReused
from workflow_ray.records import RunId, Version
from workflow_ray.testing import FakeClock

D = TypeVar("D", bound=BaseModel)


class CountingStore(FaultyStore):
    """A store that counts how often a history is read."""

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
    """Make a workflow whose NEW and READY lead to each other, so that a run may start at either."""
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


async def test_repeats_are_recognised_by_their_digests_and_nothing_is_read_for_them(
    store: CountingStore,
) -> None:
    client = Client(routed(), store, FakeClock())
    triggers: list[Trigger[Parcel, Route]] = [
        Trigger(f"{n}", Parcel(weight=n), idempotency_key=f"{n}") for n in range(50)
    ]
    await client.trigger_many(triggers)
    answers = await client.trigger_many(triggers)
    assert {outcome for _, outcome in answers} == {TriggerOutcome.KNOWN}
    assert store.histories == 0


async def test_dictionaries_are_equal_whatever_their_order(store: CountingStore) -> None:
    client = Client(staged(Tagged), store, FakeClock())
    one, other = Tagged(rates={"a": 1, "b": 2}), Tagged(rates={"b": 2, "a": 1})
    await client.trigger("1", one, idempotency_key="k")
    assert (await client.trigger("1", other, idempotency_key="k")).outcome is TriggerOutcome.KNOWN
    assert store.histories == 1  # because the bytes differ


async def test_lists_are_equal_only_in_the_same_order(store: CountingStore) -> None:
    client = Client(staged(Tagged), store, FakeClock())
    await client.trigger("1", Tagged(tags=["a", "b"]), idempotency_key="k")
    with pytest.raises(KeyReused, match="with other data"):
        await client.trigger("1", Tagged(tags=["b", "a"]), idempotency_key="k")


async def test_sets_are_equal_whatever_the_order_that_they_are_written_in(
    store: CountingStore,
) -> None:
    """The order can differ within one process: 0 and 8 have the same place in a small set, so the
    one that was added first comes first.
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
    """Trigger in another process. Return the outcome, the run, and the data as it is stored."""
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
