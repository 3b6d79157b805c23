"""Deploys after which unfinished runs could not go on are refused, with counts and ways out."""

import pickle
from collections.abc import Collection
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from tests.unit.runtime.jobs import At, Fewer, Job, Strict, jobs
from workflow_ray import Client, Workflow
from workflow_ray.engine.next_version import MAX_REASON
from workflow_ray.errors import DeployStrandsRuns
from workflow_ray.records import (
    Deployment,
    MessageId,
    MessageKey,
    MessageKind,
    NewMessage,
    RunQuery,
    WriteGroup,
)
from workflow_ray.runtime.deploy_terms import DeployTerms
from workflow_ray.runtime.deploying import describe_here, merge, merge_or_join
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

OLD = jobs()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Counting(MemoryStore):
    """Counts the looks at runs."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.looks = 0

    async def counts(self, workflow: str) -> Any:
        self.looks += 1
        return await super().counts(workflow)

    async def runs(self, query: Any) -> Any:
        self.looks += 1
        return await super().runs(query)


@pytest.fixture
async def store(clock: FakeClock) -> Counting:
    store = Counting(clock)
    await deploy(store, OLD)
    return store


async def deploy(store: MemoryStore, workflow: Workflow[Any, Any], **terms: bool) -> Deployment:
    described = [describe_here(workflow)]
    return await merge(store, described, DeployTerms(**terms), definitions=[workflow])


async def start(
    store: MemoryStore, clock: FakeClock, *statuses: At, workflow: Workflow[Any, Any] = OLD
) -> None:
    client = Client(workflow, store, clock)
    for number, status in enumerate(statuses):
        name = f"{status.name}-{number}"
        await client.trigger(name, workflow.data(weight=number), start_at=status)


async def refused(store: MemoryStore, workflow: Workflow[Any, Any]) -> list[tuple[str, int]]:
    """Return the findings of a deploy that is refused, and changes nothing."""
    before = await store.deployment()
    with pytest.raises(DeployStrandsRuns) as raised:
        await deploy(store, workflow)
    assert await store.deployment() == before
    error = raised.value
    assert pickle.loads(pickle.dumps(error)).findings == error.findings  # noqa: S301  # made here
    assert str(error).endswith("To deploy all the same: --strand, in a program strand=True.")
    for finding in error.findings:
        assert str(finding) in str(error)
    return [(str(finding), finding.runs) for finding in error.findings]


# --- statuses and functions ---------------------------------------------------------------------


async def test_a_status_that_is_gone_with_unfinished_runs(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, At.NEW, At.PACKED, At.PACKED, At.DONE)
    ((text, runs),) = await refused(store, jobs(Fewer))
    assert runs == 2
    assert text == (
        "status PACKED = 3 is gone, and 2 unfinished runs stand at it; put it back, or have them"
        ' moved to another status, for example moved={"PACKED": Status.NEW} in the workflow'
    )


async def test_a_status_that_is_gone_without_unfinished_runs_is_no_matter(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, At.NEW, At.DONE)
    await deploy(store, jobs(Fewer))


async def test_a_status_that_stays_gone_is_found_by_the_next_deploy_too(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, At.PACKED)
    deployment = await deploy(store, jobs(Fewer), strand=True)
    (deployed,) = deployment.workflows
    assert deployed.shape is not None
    assert deployed.shape.gone == {"PACKED": 3}
    ((text, _),) = await refused(store, jobs(Fewer, without=["expire"], model=Job))
    assert "status PACKED = 3 is gone" in text
    (deployed,) = (await deploy(store, OLD)).workflows
    assert deployed.shape is not None
    assert deployed.shape.gone == {}


@pytest.mark.parametrize(
    ("without", "status", "lost"),
    [
        (["pick"], At.NEW, "NEW has lost all its functions, and 1 unfinished run stand"),
        (["paid", "expire"], At.WAITING, "WAITING has lost all its functions"),
        (["expire"], At.WAITING, "WAITING has lost its timeout expire"),
    ],
)
async def test_a_status_that_has_lost_what_moves_its_runs(
    store: Counting, clock: FakeClock, without: Collection[str], status: At, lost: str
) -> None:
    await start(store, clock, status)
    ((text, runs),) = await refused(store, jobs(without=without))
    assert runs == 1
    assert lost in text
    assert f"with --workflow jobs --status {status.name}" in text


async def test_a_callback_that_is_gone_is_missed_by_nobody(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, At.WAITING)
    await deploy(store, jobs(without=["paid"]))


async def test_a_callback_that_is_gone_matters_while_messages_wait_for_it(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, At.WAITING, At.WAITING)
    (run, _) = await store.runs(RunQuery(workflow="jobs"))
    waiting = NewMessage(
        key=MessageKey("jobs", MessageKind.CALLBACK, MessageId("m")),
        run_id=run.run_id,
        name="paid",
        statuses=(At.WAITING.value,),
        payload=b"1",
        by="test",
    )
    await store.store([WriteGroup(messages=(waiting,))])
    ((text, runs),) = await refused(store, jobs(without=["paid"]))
    assert runs == 1
    assert text == (
        "callback paid is gone, and its messages wait at 1 unfinished run of WAITING, and would"
        " fail; put it back until they are taken"
    )


# --- data ---------------------------------------------------------------------------------------


async def test_data_that_the_new_model_cannot_read_is_counted_without_its_values(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, *([At.WAITING] * 3), At.DONE)
    ((text, runs),) = await refused(store, jobs(model=Strict))
    assert runs == 3
    assert text == (
        "the data of 3 unfinished runs at WAITING, of 3 that were read, can't be read as Strict:"
        " colour: Field required (3); let the model accept it, or raise data_version and add a"
        " migration"
    )


async def test_a_sample_of_many_runs_is_read_the_oldest_and_the_newest(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, *([At.WAITING] * 250))
    ((text, runs),) = await refused(store, jobs(model=Strict))
    assert runs == 200
    assert "of 200 that were read" in text


async def test_a_flaw_of_data_is_told_in_a_bounded_text_that_can_be_sent(
    store: Counting, clock: FakeClock
) -> None:
    class Lists(BaseModel):
        weight: list[str]

    def wrong(data: dict[str, Any]) -> dict[str, Any]:
        return {"weight": list(range(10_000))}

    def unsendable(data: dict[str, Any]) -> dict[str, Any]:
        return {"weight": [], "half": data["weight"]}

    class Halves(BaseModel):
        half: int

        @field_validator("half")
        @classmethod
        def refuse(cls, half: int) -> int:
            raise ValueError("half of a pair: \ud800")

    await start(store, clock, At.WAITING)
    for model, migration in ((Lists, wrong), (Halves, unsendable)):
        ((text, _),) = await refused(store, jobs(model=model, data_version=2, migration=migration))
        assert "can't be read as" in text
        assert len(text) < MAX_REASON + 300
        text.encode()


async def test_data_that_a_migration_makes_readable_is_deployed(
    store: Counting, clock: FakeClock
) -> None:
    await start(store, clock, At.WAITING)
    newer = jobs(model=Strict, data_version=2)
    ((text, _),) = await refused(store, newer)
    assert "colour: Field required" in text

    def painted(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "colour": "red"}

    await deploy(store, jobs(model=Strict, data_version=2, migration=painted))


async def test_a_data_version_that_goes_back(store: Counting, clock: FakeClock) -> None:
    newer = jobs(data_version=3)
    await deploy(store, newer)
    await start(store, clock, At.WAITING, workflow=newer)
    first, second = await refused(store, OLD)
    assert first == (
        "data_version goes back from 3 to 1, and 1 unfinished run may have data of version 3, which"
        " this code can't read; deploy code that knows version 3; to go back, make the earlier"
        " model version 4, with a migration",
        1,
    )
    assert "its data is of version 3, and this code knows version 1 (1)" in second[0]
    assert second[0].endswith("; deploy code that knows version 3")


# --- terms --------------------------------------------------------------------------------------


async def test_all_findings_are_told_at_once(store: Counting, clock: FakeClock) -> None:
    await start(store, clock, At.NEW, At.WAITING, At.PACKED)
    found = await refused(store, jobs(Fewer, Strict, without=["pick"]))
    texts = " | ".join(text for text, _ in found)
    for part in ("PACKED = 3 is gone", "NEW has lost", "unfinished run at WAITING"):
        assert part in texts


async def test_it_can_be_allowed_and_is_logged_then(
    store: Counting, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await start(store, clock, At.PACKED)
    (deployed,) = (await deploy(store, jobs(Fewer), strand=True)).workflows
    assert deployed.statuses == {"NEW": 1, "WAITING": 2, "DONE": 4}
    assert "workflow 'jobs': status PACKED = 3 is gone, and 1 unfinished run stand" in caplog.text


async def test_code_that_is_deployed_already_and_a_first_deploy_look_at_no_run(
    clock: FakeClock,
) -> None:
    store = Counting(clock)
    await deploy(store, OLD)
    assert store.looks == 1  # it counts what a removed workflow of this name has left
    await deploy(store, OLD)
    await merge_or_join(store, [describe_here(OLD)], definitions=[OLD])
    assert store.looks == 1
