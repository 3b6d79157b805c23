"""Labels: functions change them together with the transition that they return."""

from collections.abc import Sequence
from typing import Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Cancel, Client, Retry, Run, RunState, Stay, Trigger, Workflow
from workflow_ray.client.inputs import checked_key
from workflow_ray.definition.labels import checked_labels
from workflow_ray.errors import InvalidInput
from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray.testing import WorkflowTester

ONCE = Retry(attempts=1)


def labelling() -> tuple[Parcels, dict[str, object]]:
    """A workflow whose step does with the labels what the test says."""
    workflow, does = parcels(), dict[str, object]()

    @workflow.step(Stage.NEW, retry=ONCE)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Cancel | Stay:
        for name, value in does.items():
            if value is None:
                del run.labels[name]
            elif isinstance(value, Exception):
                raise value
            else:
                run.labels[name] = value  # type: ignore[assignment]  # it may be wrong
        return Stage.DONE

    return workflow, does


async def done(bench: Bench, workflow: Parcels, labels: dict[str, str] | None) -> ParcelRun:
    await bench.publisher()
    await bench.consumer(Stage.NEW)
    handle = await bench.client(workflow).trigger("p-1", Parcel(), labels=labels)
    await bench.pass_time()
    return await handle.get()


async def test_a_step_adds_changes_and_deletes_labels_with_its_transition() -> None:
    workflow, does = labelling()
    does |= {"stage": "packed", "size": "S", "old": None}
    async with Bench(workflow) as bench:
        run = await done(bench, workflow, {"tenant": "acme", "old": "1", "size": "L"})
        assert run.labels == {"tenant": "acme", "stage": "packed", "size": "S"}
        assert (run.version, run.run_state) == (2, RunState.COMPLETED)


async def test_labels_that_a_step_leaves_alone_are_not_written() -> None:
    workflow, does = labelling()
    does |= {"tenant": "acme"}
    async with Bench(workflow) as bench:
        written: list[object] = []
        store = bench.store.store

        async def noted(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            written.extend(write.labels for group in groups for write in group.writes)
            return await store(groups)

        bench.store.store = noted  # type: ignore[method-assign]  # of this one store
        run = await done(bench, workflow, {"tenant": "acme"})
        assert run.labels == {"tenant": "acme"}
        assert written == [{"tenant": "acme"}, None]


async def test_labels_of_a_step_that_raises_are_dropped() -> None:
    workflow, does = labelling()
    does |= {"stage": "packed", "then": ValueError("broken")}
    async with Bench(workflow) as bench:
        run = await done(bench, workflow, {"tenant": "acme"})
        assert run.run_state is RunState.PAUSED
        assert run.labels == {"tenant": "acme"}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("tenant", 5, "must be text"), ("x" * 64, "a", "1 to 63"), ("a", "x" * 256, "255")],
)
async def test_a_label_that_can_not_be_used_fails_the_step(
    name: str, value: object, why: str
) -> None:
    workflow, does = labelling()
    does |= {name: value}
    async with Bench(workflow) as bench:
        run = await done(bench, workflow, None)
        assert run.run_state is RunState.PAUSED
        assert why in (run.reason or "")
        assert not run.labels


async def test_a_callback_changes_labels_although_it_stays() -> None:
    workflow = parcels()

    @workflow.callback(Stage.NEW)
    async def noted(run: ParcelRun, tenant: str) -> Literal[Stage.DONE] | Stay:
        run.labels["tenant"] = tenant
        return Stay()

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("p-1", Parcel())
        run = await handle.callback(noted, "acme")
        assert run.labels == {"tenant": "acme"}


async def test_a_child_has_the_labels_that_its_parent_gives_it() -> None:
    workflow, other = parcels(), Workflow("others", Parcel, Stage)

    @other.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    @workflow.step(Stage.NEW)
    async def start(run: ParcelRun) -> Literal[Stage.DONE]:
        run.start(other, "with", Parcel(), labels={"of": run.foreign_id})
        run.start(other, "without", Parcel())
        return Stage.DONE

    async with WorkflowTester(workflow, other) as tester:
        handle = await tester.client(workflow).trigger("p-1", Parcel(), labels={"a": "b"})
        await handle.wait()
        children = tester.client(other)
        assert (await children.latest("with")).labels == {"of": "p-1"}
        assert not (await children.latest("without")).labels


async def test_runs_are_found_by_all_of_the_labels_that_are_asked_for() -> None:
    workflow, _ = labelling()
    async with Bench(workflow) as bench:
        client = bench.client(workflow)
        await client.trigger_many(
            [
                Trigger("1", Parcel(), labels={"tenant": "acme", "size": "S"}),
                Trigger("2", Parcel(), labels={"tenant": "acme", "size": "L"}),
                Trigger("3", Parcel(), labels={"tenant": "other"}),
                Trigger("4", Parcel()),
            ]
        )
        assert await found(client, tenant="acme") == ["1", "2"]
        assert await found(client, tenant="acme", size="L") == ["2"]
        assert await found(client, tenant="nobody") == []
        assert await found(client) == ["1", "2", "3", "4"]
        preview = await client.bulk("cancel", "a test", labels={"tenant": "acme"}, dry_run=True)
        assert preview.changed == 2


async def found(client: Client[Parcel, Stage], **labels: str) -> list[str]:
    return [run.foreign_id async for run in client.runs(labels=labels)]


async def test_a_fork_has_the_labels_of_its_run() -> None:
    workflow, does = labelling()
    does |= {"stage": "packed"}
    async with Bench(workflow) as bench:
        run = await done(bench, workflow, {"tenant": "acme"})
        fork = await bench.client(workflow).handle(run.run_id).fork(1, foreign_id="p-2")
        assert (await fork.get()).labels == {"tenant": "acme", "stage": "packed"}


async def test_a_repeated_trigger_leaves_the_labels_of_the_first_run() -> None:
    workflow, _ = labelling()
    async with Bench(workflow) as bench:
        client = bench.client(workflow)
        await client.trigger("1", Parcel(), idempotency_key="k", labels={"a": "1"})
        again = await client.trigger("1", Parcel(), idempotency_key="k", labels={"a": "2"})
        assert (await again.get()).labels == {"a": "1"}


async def test_the_labels_of_a_run_that_was_read_can_not_be_changed() -> None:
    workflow, _ = labelling()
    async with Bench(workflow) as bench:
        handle = await bench.client(workflow).trigger("1", Parcel(), labels={"a": "1"})
        run = await handle.get()
        with pytest.raises(InvalidInput, match="this run was only read"):
            run.labels["a"] = "2"
        with pytest.raises(InvalidInput, match="this run was only read"):
            del run.labels["a"]
        assert run.labels == {"a": "1"}


def test_a_run_made_by_hand_has_labels_to_change() -> None:
    run = Run(Parcel(), Stage.NEW, labels={"a": "1"})
    run.labels["b"] = "2"
    assert dict(run.labels) == {"a": "1", "b": "2"}
    assert len(run.labels) == 2
    assert repr(run.labels) == "{'a': '1', 'b': '2'}"


class Safe(str):
    """As template engines have it, for example."""


def test_text_of_a_subclass_is_stored_as_plain_text() -> None:
    """A store that writes JSON can't encode a subclass. The role of the step would end."""
    (label,) = checked_labels("labels", {Safe("tenant"): Safe("acme")}).items()
    assert label == ("tenant", "acme")
    for text in (*label, checked_key("foreign_id", Safe("42"))):
        assert type(text) is str
