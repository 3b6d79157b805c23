"""Clients in processes that run no roles."""

import asyncio
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage, packing, parcels
from workflow_ray import RunState, Runtime, Workflow, connect
from workflow_ray.errors import InvalidDefinition, InvalidInput, StoreMissing, UnknownWorkflow
from workflow_ray.ports import SystemClock
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.ipc.remote import RemoteStore

SOON = timedelta(seconds=20)

namesake = Workflow("parcels", Parcel, Stage)


@namesake.step(Stage.NEW)
async def unpack(run: ParcelRun) -> Literal[Stage.DONE]:
    return Stage.DONE


async def test_beside_a_runtime_a_client_goes_through_its_socket(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url), open_beside(url, SystemClock()) as store:
        assert isinstance(store, RemoteStore)
    async with open_beside(url, SystemClock()) as store:
        assert not isinstance(store, RemoteStore)


async def test_a_client_beside_a_runtime_triggers_waits_and_reads(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url), connect(workflow, records=url) as client:
        handle = await client.trigger("1", Parcel(weight=2))
        run = await handle.wait(timeout=SOON)
        assert (run.status, run.run_state, run.data) == (
            Stage.DONE,
            RunState.COMPLETED,
            Parcel(weight=2),
        )
        assert [entry.version for entry in await handle.history()] == [1, 2]
        assert [found.run_id async for found in client.runs()] == [handle.run_id]
        assert await client.counts() == {(Stage.DONE, RunState.COMPLETED): 1}


async def test_a_change_reaches_a_waiting_client_at_once(url: str) -> None:
    """The client asks the store to wait for 20 seconds."""
    workflow, begun, gate = parcels(), asyncio.Event(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.set()
        await gate.wait()
        return Stage.DONE

    async with Runtime.local(workflow, records=url), connect(workflow, records=url) as client:
        waiting = asyncio.create_task((await client.trigger("1", Parcel())).wait())
        await begun.wait()
        gate.set()
        async with asyncio.timeout(5):
            assert (await waiting).status is Stage.DONE


async def test_a_client_without_a_runtime_reads_and_triggers(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url):
        pass
    async with connect(workflow, records=url) as client:
        handle = await client.trigger("1", Parcel())
        assert (await handle.get()).run_state is RunState.INITIATED


async def test_a_store_that_is_not_there_is_missed(url: str) -> None:
    with pytest.raises(StoreMissing, match=r"nothing was deployed|the file does not exist"):
        await connect(packing(), records=url).__aenter__()


async def test_a_workflow_that_is_not_deployed_is_refused_with_the_names_of_the_others(
    url: str,
) -> None:
    async with Runtime.local(packing(), records=url):
        pass
    other = Workflow("others", Parcel, Stage)

    @other.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    with pytest.raises(
        UnknownWorkflow, match=r"'others' is not deployed here \(deployed: parcels\)"
    ):
        await connect(other, records=url).__aenter__()


async def test_another_workflow_of_a_deployed_name_is_connected_with_a_warning(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Runtime.local(packing(), records=url):
        async with connect(packing(), records=url):
            assert "deployed here from" not in caplog.text
        async with connect(namesake, records=url):
            pass
    assert f"workflow 'parcels' is deployed here from {packing().module} (" in caplog.text
    assert f"this client has {__name__}:namesake ({__file__}:" in caplog.text


async def test_a_definition_with_mistakes_is_refused(url: str) -> None:
    with pytest.raises(InvalidDefinition):
        await connect(parcels(), records=url).__aenter__()


@pytest.mark.parametrize("patience", [-1, "5s", True])
async def test_a_patience_that_can_not_be_used_is_refused_by_name(url: str, patience: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^patience: "):
        async with connect(packing(), records=url, patience=patience):
            pass
