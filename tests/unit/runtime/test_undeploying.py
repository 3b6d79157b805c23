"""Removing a workflow from the deployment (U14)."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage, packing, parcels
from tests.unit.runtime.gated import Gated
from tests.unit.runtime.test_hosting import shipping
from workflow_ray import Cause, RunState, Runtime, connect
from workflow_ray.errors import InvalidInput, RunsUnfinished, RuntimeUnavailable, UnknownWorkflow
from workflow_ray.ports import SystemClock
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.undeploying import undeploy
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

SOON = timedelta(seconds=20)


class Store(MemoryStore):
    """Another process deploys before the first `conflicts` deploys."""

    conflicts = 0

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        if self.conflicts:
            self.conflicts -= 1
            await super().deploy(expected, (await self.deployment()).workflows)
        return await super().deploy(expected, workflows)


def names(deployment: Deployment) -> list[str]:
    return [workflow.name for workflow in deployment.workflows]


async def test_a_workflow_that_is_undeployed_leaves_the_others_as_they_are() -> None:
    store = Store(FakeClock())
    await merge(store, [describe_here(shipping), describe_here(packing())])
    (others, _) = (await store.deployment()).workflows
    await undeploy(store, "parcels", clock=FakeClock())
    assert (await store.deployment()).workflows == (others,)
    with pytest.raises(UnknownWorkflow, match=r"'parcels' is not deployed here \(deployed: ship"):
        await undeploy(store, "parcels", clock=FakeClock())


async def test_a_deploy_at_the_same_time_is_not_lost() -> None:
    store = Store(FakeClock())
    await merge(store, [describe_here(shipping), describe_here(packing())])
    store.conflicts = 3
    await undeploy(store, "parcels", clock=FakeClock())
    assert names(await store.deployment()) == ["shipping"]


async def test_while_runs_are_unfinished_it_is_refused_with_their_count(url: str) -> None:
    gated = Gated()
    async with Runtime.local(gated.workflow, records=url) as runtime:
        client = runtime.client(gated.workflow)
        handles = [await client.trigger(f"{number}", Parcel()) for number in range(3)]
        await handles[0].pause("to see it counted")
        before = await runtime.store.deployment()
        with pytest.raises(RunsUnfinished) as raised:
            await runtime.undeploy(gated.workflow)
        assert sum(raised.value.unfinished.values()) == 3
        assert raised.value.unfinished["PAUSED"] == 1
        for part in (
            "3 unfinished runs (",
            "1 PAUSED",
            "runs cancel --workflow parcels",
            "--force",
        ):
            assert part in str(raised.value)
        assert await runtime.store.deployment() == before
        gated.gate.set()
        await handles[0].cancel("nobody wants it")
        for handle in handles:
            await handle.wait(timeout=SOON)
        await runtime.undeploy(gated.workflow)
        assert names(await runtime.store.deployment()) == []


async def test_its_roles_stop_its_runs_stay_and_go_on_once_it_is_deployed_again(url: str) -> None:
    gated = Gated()
    async with Runtime.local(gated.workflow, shipping, records=url) as runtime:
        client = runtime.client(gated.workflow)
        handle = await client.trigger("1", Parcel())
        await gated.begun.wait()
        await runtime.undeploy("parcels", force=True)
        later = await client.trigger("2", Parcel())
        other = await runtime.client(shipping).trigger("3", Parcel())
        assert (await other.wait(timeout=SOON)).run_state is RunState.COMPLETED
        gated.gate.set()
        assert [(await one.get()).status for one in (handle, later)] == [Stage.NEW, Stage.NEW]
    async with Runtime.local(gated.workflow, records=url):
        for one in (handle, later):
            async with connect(gated.workflow, records=url) as client:
                found = client.handle(one.run_id)
                assert (await found.wait(timeout=SOON)).status is Stage.DONE
                causes = [entry.cause for entry in await found.history()]
                assert causes == [Cause.TRIGGER, Cause.STEP], "no attempt was counted"


async def test_a_step_that_ends_soon_is_finished_and_not_run_again(url: str) -> None:
    workflow, begun, begins = parcels(), asyncio.Event(), 0

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        nonlocal begins
        begins += 1
        begun.set()
        await asyncio.sleep(0.2)
        return Stage.DONE

    async with Runtime.local(workflow, records=url) as runtime:
        handle = await runtime.client(workflow).trigger("1", Parcel())
        await begun.wait()
        await runtime.undeploy(workflow, force=True)
        assert ((await handle.get()).status, begins) == (Stage.DONE, 1)


async def test_without_its_module_it_is_undeployed_by_name_where_nothing_runs(url: str) -> None:
    async with Runtime.local(packing(), shipping, records=url):
        pass
    async with open_beside(url, SystemClock()) as store:
        await undeploy(store, "parcels")
    async with connect(shipping, records=url) as client:
        assert await client.counts() == {}
    with pytest.raises(UnknownWorkflow):
        async with connect(packing(), records=url):
            pass


@pytest.mark.server
@pytest.mark.parametrize("server", ["postgres_url", "redis_url"])
async def test_on_a_server_all_processes_stop_its_roles(
    server: str, request: pytest.FixtureRequest
) -> None:
    url, gated = request.getfixturevalue(server), Gated()
    async with (
        Runtime.local(gated.workflow, shipping, records=url) as one,
        Runtime.local(gated.workflow, shipping, records=url) as two,
    ):
        handle = await one.client(gated.workflow).trigger("1", Parcel())
        await gated.begun.wait()
        await two.undeploy("parcels", force=True)
        gated.gate.set()
        other = await two.client(shipping).trigger("2", Parcel())
        assert (await other.wait(timeout=SOON)).run_state is RunState.COMPLETED
        assert (await handle.get()).status is Stage.NEW
        async with Runtime.local(gated.workflow, records=url):  # deployed again: both take part
            assert (await handle.wait(timeout=SOON)).status is Stage.DONE


async def test_only_a_workflow_of_the_runtime_or_a_name_can_be_undeployed(url: str) -> None:
    runtime = Runtime.local(packing(), records=url)
    with pytest.raises(RuntimeUnavailable, match="use it inside of `async with runtime:`"):
        await runtime.undeploy("parcels")
    async with runtime:
        other: Any
        for other in (None, 7, "", ["parcels"]):
            with pytest.raises(
                InvalidInput, match=r"^workflow: give a workflow, or its name, not "
            ):
                await runtime.undeploy(other)
        with pytest.raises(UnknownWorkflow):
            await runtime.undeploy(shipping)
        with pytest.raises(UnknownWorkflow):
            await runtime.undeploy("letters")
