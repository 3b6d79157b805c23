"""What `workflow-ray diff` tells: each change with its runs, and whether a deploy is refused."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from msgspec.structs import replace
from pydantic import BaseModel

from tests.unit.bench import Bench
from tests.unit.runtime.jobs import At, Fewer, Strict, jobs
from workflow_ray import Run, Status, Workflow
from workflow_ray.codecs import Compression
from workflow_ray.engine.definition_changes import Change, Sign, changes_of, kept_settings
from workflow_ray.records import (
    DeployedFlow,
    DeployedWorkflow,
    FlowLimits,
    Rate,
    connector_group,
    consumer_group,
    hooks_group,
    scheduler_group,
)
from workflow_ray.runtime import comparing
from workflow_ray.runtime.comparing import Comparison
from workflow_ray.runtime.deploying import describe_here, merge

OLD = jobs()
RUNS = {1: 3, 2: 5, 3: 7}


def changed(
    after: Workflow[Any, Any] | DeployedWorkflow, runs: Mapping[int, int] = RUNS
) -> list[str]:
    """List the changes against OLD, as text."""
    described = after if isinstance(after, DeployedWorkflow) else describe_here(after)
    return [text(change) for change in changes_of(describe_here(OLD), described, runs)]


def text(change: Change) -> str:
    steps = f" {change.before} -> {change.after}" if change.before or change.after else ""
    return f"{change.change} {change.kind} {change.what}{steps} {change.runs}"


def test_the_same_code_changes_nothing() -> None:
    assert changed(OLD) == []


def test_statuses_and_their_functions() -> None:
    assert changed(jobs(Fewer)) == [
        "gone status PACKED = 3 7",
        "gone function step jobs.<locals>.pack of PACKED DONE ->  7",
    ]


def test_a_status_that_keeps_its_number_is_renamed() -> None:
    before = describe_here(OLD)
    numbers = {("BOXED" if name == "PACKED" else name): at for name, at in before.statuses.items()}
    assert changed(replace(before, statuses=numbers)) == ["changed status 3 PACKED -> BOXED 7"]
    swapped = {**before.statuses, "NEW": 3, "PACKED": 1}
    assert changed(replace(before, statuses=swapped)) == [
        "changed status NEW 1 -> 3 3",
        "changed status PACKED 3 -> 1 7",
    ]


def test_functions_that_are_gone_or_lead_elsewhere() -> None:
    class More(Status):
        NEW = 1
        WAITING = 2
        PACKED = 3
        DONE = 4
        LOST = 5

    assert changed(jobs(More)) == ["added status LOST = 5 0"]
    assert changed(jobs(without=["expire"])) == [
        "gone function timeout expire of WAITING DONE ->  5"
    ]
    described = describe_here(OLD)
    assert described.shape is not None
    functions = tuple(
        (name, number, (1, 4) if name == "callback paid" else targets)
        for name, number, targets in described.shape.functions
    )
    other = replace(described, shape=replace(described.shape, functions=functions))
    assert changed(other) == ["changed function callback paid of WAITING DONE -> NEW, DONE 5"]


def test_data() -> None:
    assert changed(jobs(data_version=2)) == ["changed data version of the runs 1 -> 2 15"]
    assert changed(jobs(model=Strict)) == ["changed data model of the runs: another JSON schema 15"]


def test_partitions_shards_schedules_connectors_and_hooks() -> None:
    described = describe_here(OLD)
    groups = {
        **described.groups,
        consumer_group("jobs", 1): 4,
        scheduler_group("jobs", "nightly"): 1,
        connector_group("jobs", "carts"): 2,
        hooks_group("jobs"): 1,
    }
    assert changed(replace(described, partitions=8, groups=groups)) == [
        "changed partitions of the workflow 16 -> 8 15",
        "changed shards of NEW 1 -> 4 0",
        "added connector carts 0",
        "added role hooks 0",
        "added schedule nightly 0",
    ]


def test_code_alone() -> None:
    assert changed(replace(describe_here(OLD), code="other")) == ["changed code of the functions 0"]


def test_settings_of_operators_stay_unless_what_they_are_for_is_gone() -> None:
    described = describe_here(OLD)
    before = replace(
        described,
        scaled={consumer_group("jobs", 1): 3, consumer_group("jobs", 3): 2},
        limits={"NEW": FlowLimits(concurrency=1), "PACKED": FlowLimits(concurrency=2)},
        paused=("nightly",),
    )
    limited = DeployedFlow(limits=FlowLimits(rate=Rate(count=5, seconds=1.0)), keyed=True)
    after = describe_here(jobs(Fewer))
    assert after.shape is not None
    after = replace(after, shape=replace(after.shape, flow={"NEW": limited}))
    assert kept_settings(before, after) == ["NEW: 3 shards", "limits of NEW"]
    found = [text(each) for each in changes_of(before, after, {})]
    assert "gone limits of PACKED, set by an operator 0" in found
    assert "added flow control of NEW  -> rate 5 in 1 s, by key 0" in found


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare workflows that only this process can import."""
    monkeypatch.setattr(comparing, "describe", describe_here)


async def compared(bench: Bench, workflow: Workflow[Any, Any]) -> Comparison:
    before = await bench.store.deployment()
    found = await comparing.compare(bench.store, workflow)
    assert await bench.store.deployment() == before
    return found


async def test_a_comparison_says_whether_a_deploy_would_be_refused_and_why() -> None:
    async with Bench(OLD) as bench:
        await bench.client(OLD).trigger("1", OLD.data(), start_at=At.PACKED)
        found = await compared(bench, jobs(Fewer))
        assert found.deployed
        assert found.differs
        assert [(each.change, each.runs) for each in found.changes] == [(Sign.GONE, 1)] * 2
        (why,) = found.refused
        assert "status PACKED = 3 is gone, and 1 unfinished run" in why
        moved = await compared(bench, jobs(Fewer, moved={"PACKED": Fewer.NEW}))
        assert (moved.differs, moved.refused) == (True, [])


class Page(BaseModel):
    text: str


def coded_jobs(*codecs: Compression) -> Workflow[Page, At]:
    workflow = Workflow("jobs", Page, At, entry=tuple(At), codec=codecs)

    @workflow.step(At.NEW)
    async def pick(run: Run[Page, At]) -> Literal[At.DONE]:
        return At.DONE

    return workflow


async def test_a_codec_that_only_finished_runs_need_is_shown_with_their_number() -> None:
    before, after = coded_jobs(Compression(above=0)), coded_jobs()
    async with Bench(after) as bench:
        await merge(bench.store, [replace(describe_here(before), code="earlier")])
        for name, workflow in (("1", before), ("2", before), ("plain", after)):
            run = Page(text="x" * 1000)
            await bench.client(workflow).trigger(name, run, start_at=At.DONE)
        found = await compared(bench, after)
        (lost,) = [each for each in found.changes if each.kind == "codec"]
        assert (lost.change, lost.what, lost.finished, lost.read) == (Sign.GONE, "zlib", 2, 3)
        assert "zlib" not in str(found.refused)
        assert "codec" not in [each.kind for each in (await compared(bench, before)).changes]


async def test_a_renumbering_and_other_partitions_are_refused() -> None:
    class Renumbered(Status):
        NEW = 1
        WAITING = 2
        PACKED = 9
        DONE = 4

    async with Bench(OLD) as bench:
        found = await compared(bench, jobs(Renumbered))
        (why,) = found.refused
        assert "jobs.PACKED is 9 in the code and 3" in why
        assert text(found.changes[0]) == "changed status PACKED 3 -> 9 0"


async def test_the_deployed_code_does_not_differ_and_a_new_workflow_does() -> None:
    async with Bench(OLD) as bench:
        same = await compared(bench, OLD)
        assert (same.deployed, same.differs, same.refused) == (True, False, [])
    async with Bench(jobs()) as bench:
        other = jobs()
        other.name = "others"
        new = await compared(bench, other)
        assert (new.deployed, new.differs) == (False, True)
