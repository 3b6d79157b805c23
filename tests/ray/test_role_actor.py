"""What the actor of a role does at the end of its work, without Ray."""

import asyncio

import pytest

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


class ReleasedStore(MemoryStore):
    """Fails a number of releases, or hangs in one, and keeps those that it answers."""

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
    workflow = DeployedWorkflow(name="orders", reference="", statuses={"NEW": 1}, partitions=16, groups={SWEEPER: 1})
    await store.deploy(0, [workflow])
    return store


def started() -> RoleActor:
    """An actor that begins to run its role."""
    urls = Urls.of("sqlite:////tmp/records.db", None, None)
    deployed = Deployed(urls=urls, places=urls.places, store_id="s", namespace="n", node="node")
    return RoleActor(ROLE, "", Deployment(store_id="s"), deployed)


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


async def test_a_role_that_raises_is_released_before_its_process_ends(store: ReleasedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_role(*_: object, **__: object) -> None:
        raise RuntimeError("the resource is broken")

    monkeypatch.setattr(role_actor, "run_role", run_role)
    report = await _last_report(started())
    assert (report.phase, report.crashed, report.why) == (Phase.ENDED, True, "RuntimeError: the resource is broken")
    assert [fence.role for fence in store.released] == [ROLE.name]


async def _last_report(actor: RoleActor) -> ActorReport:
    report = await actor.report(None, 5.0)
    while report.phase is not Phase.ENDED:
        report = await actor.report(report.phase, 5.0)
    return report
