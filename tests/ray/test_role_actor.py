"""The end of a role actor's work, without Ray."""

import asyncio

import pytest
from msgspec import structs

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import SystemClock
from workflow_ray.records import SWEEPER, DeployedWorkflow, Deployment, Fence, Role
from workflow_ray.runtime.ray import role_actor, work
from workflow_ray.runtime.ray.role_actor import RoleActor
from workflow_ray.runtime.ray.state import ActorReport, Phase
from workflow_ray.runtime.ray.stores import Deployed
from workflow_ray.runtime.urls import Urls
from workflow_ray_adapters.memory import MemoryStore

ROLE = Role(SWEEPER)
NEXT = Role(SWEEPER, 1, 2)
"""A role of the next shard count."""
WORKFLOW = DeployedWorkflow(
    name="orders", reference="", statuses={"NEW": 1}, partitions=16, groups={SWEEPER: 1}
)


class ReleasedStore(MemoryStore):
    """Raises at a number of releases, or hangs in one, and keeps those that succeed."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.failures = 0
        self.hangs = False
        self.released: list[Fence] = []

    async def release(self, fence: Fence) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the store", "it fails over")
        await super().release(fence)
        self.released.append(fence)


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> ReleasedStore:
    store = ReleasedStore()

    async def remote_store(_: object) -> ReleasedStore:
        return store

    def nothing(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(role_actor, "transport_to", nothing)
    monkeypatch.setattr(role_actor, "remote_store", remote_store)
    monkeypatch.setattr(work, "this_node", lambda: "node")
    monkeypatch.setattr(work, "_collect_seldom", nothing)
    monkeypatch.setattr("os._exit", nothing)
    await deploy(store, WORKFLOW)
    return store


async def deploy(store: MemoryStore, workflow: DeployedWorkflow) -> None:
    await store.deploy((await store.deployment()).version, [workflow])


def started(role: Role = ROLE, code: str = "") -> RoleActor:
    """Make an actor that runs its role once the deployment wants it."""
    urls = Urls.of("sqlite:////tmp/records.db", None, None)
    deployed = Deployed(urls=urls, places=urls.places, store_id="s", namespace="n", node="node")
    return RoleActor(
        role, code, Deployment(store_id="s", version=1, workflows=(WORKFLOW,)), deployed
    )


async def test_a_release_that_fails_for_a_moment_is_tried_again(store: ReleasedStore) -> None:
    actor = started()
    assert (await actor.report(Phase.STARTING, 5.0)).phase is Phase.RUNNING
    store.failures = 3
    await actor.drain(5.0)
    assert [fence.role for fence in store.released] == [ROLE.name]


async def test_a_release_ends_though_the_store_does_not_answer(
    store: ReleasedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(role_actor, "RELEASING", 0.1)
    actor = started()
    assert (await actor.report(Phase.STARTING, 5.0)).phase is Phase.RUNNING
    store.hangs = True
    await actor.drain(5.0)
    assert f"role {ROLE.name} was not released: the store did not answer" in caplog.text


async def test_a_role_that_raises_is_released_before_its_process_ends(
    store: ReleasedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_role(*_: object, **__: object) -> None:
        raise RuntimeError("the resource is broken")

    monkeypatch.setattr(role_actor, "run_role", run_role)
    report = await _last_report(started())
    assert (report.phase, report.crashed, report.why) == (
        Phase.ENDED,
        True,
        "RuntimeError: the resource is broken",
    )
    assert [fence.role for fence in store.released] == [ROLE.name]


async def test_an_actor_in_which_abandoned_functions_run_on_drains_and_releases_its_role(
    store: ReleasedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = asyncio.Event()

    async def until_due(*_: object) -> int:
        await due.wait()
        return 2

    def has_time_limit(*_: object) -> bool:
        return True

    monkeypatch.setattr(role_actor, "has_time_limit", has_time_limit)
    monkeypatch.setattr(role_actor, "until_due", until_due)
    actor = started()
    assert (await actor.report(Phase.STARTING, 5.0)).phase is Phase.RUNNING
    due.set()
    assert (await actor.report(Phase.RUNNING, 5.0)).phase in (Phase.DRAINING, Phase.ENDED)
    report = await _last_report(actor)
    assert (report.crashed, report.why) == (
        False,
        "it is replaced, because 2 of its functions run on after their time limit",
    )
    assert [fence.role for fence in store.released] == [ROLE.name]


async def test_an_actor_on_standby_acquires_nothing_before_its_count_is_set(
    store: ReleasedStore,
) -> None:
    actor = started(NEXT)
    assert (await actor.report(Phase.STARTING, 5.0)).phase is Phase.STANDBY
    for workflow in (
        structs.replace(WORKFLOW, draining=(SWEEPER,)),
        structs.replace(WORKFLOW, scaled={SWEEPER: 3}),
        structs.replace(WORKFLOW, scaled={SWEEPER: 2}, draining=(SWEEPER,)),
    ):
        await deploy(store, workflow)
        assert (await actor.report(Phase.STANDBY, 0.05)).phase is Phase.STANDBY
    await deploy(store, structs.replace(WORKFLOW, scaled={SWEEPER: 2}))
    report = await actor.report(Phase.STANDBY, 5.0)
    assert (report.phase, report.epoch) == (Phase.RUNNING, 1)
    assert (await store.acquire(NEXT)).epoch == 2
    await actor.drain(5.0)


async def test_an_actor_on_standby_that_is_not_wanted_in_time_ends_without_having_failed(
    store: ReleasedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_actor, "STANDBY", 0.0)
    monkeypatch.setattr(role_actor, "DRAINING", 0.0)
    report = await _last_report(started(NEXT))
    assert (report.phase, report.crashed, report.epoch) == (Phase.ENDED, False, None)
    assert report.why == f"role {NEXT.name} can't be acquired: its group has 1 shards by now."


async def test_an_actor_on_standby_ends_at_once_when_it_is_drained(store: ReleasedStore) -> None:
    actor = started(NEXT)
    assert (await actor.report(Phase.STARTING, 5.0)).phase is Phase.STANDBY
    await actor.drain(600.0)
    assert (await actor.report(Phase.DRAINING, 5.0)).phase is Phase.ENDED
    await deploy(store, structs.replace(WORKFLOW, scaled={SWEEPER: 2}))
    assert (await store.acquire(NEXT)).epoch == 1


async def test_an_actor_on_standby_whose_code_is_not_the_deployed_one_acquires_nothing(
    store: ReleasedStore,
) -> None:
    actor = started(NEXT, code="replaced")
    assert (await actor.report(Phase.STARTING, 5.0)).phase is Phase.STANDBY
    await deploy(store, structs.replace(WORKFLOW, scaled={SWEEPER: 2}))
    assert (await actor.report(Phase.STANDBY, 0.05)).phase is Phase.STANDBY
    await actor.drain(5.0)
    assert (await store.acquire(NEXT)).epoch == 1


async def _last_report(actor: RoleActor) -> ActorReport:
    report = await actor.report(None, 5.0)
    while report.phase is not Phase.ENDED:
        report = await actor.report(report.phase, 5.0)
    return report
