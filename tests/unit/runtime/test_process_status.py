"""The status that a local process tells to others (U12)."""

import asyncio
import os
import re
import threading
from pathlib import Path
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import Breaker, Retention, Retry, Runtime, Workflow, connect
from workflow_ray.errors import RunPaused
from workflow_ray.ports import SystemClock
from workflow_ray.records import Role, data_group
from workflow_ray.runtime.connect import process_status
from workflow_ray.runtime.ipc import IpcServer, announce
from workflow_ray.runtime.process_status import RolePhase
from workflow_ray.runtime.urls import place_of
from workflow_ray_adapters.memory.store import MemoryStore

STEP = "parcels-1-consumer-1-of-1"


async def test_another_process_sees_the_roles_and_the_steps_in_flight(url: str) -> None:
    workflow, begun, gate = parcels(), asyncio.Event(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.set()
        await gate.wait()
        return Stage.DONE

    async with Runtime.local(workflow, records=url), connect(workflow, records=url) as client:
        handle = await client.trigger("1", Parcel())
        await begun.wait()
        process = await process_status(url)
        assert process is not None
        assert process.pid == os.getpid()
        roles = {role.name: role for role in process.roles}
        assert {role.phase for role in process.roles} == {RolePhase.RUNNING}
        assert (roles[STEP].in_flight, roles["sweeper-1-of-1"].in_flight) == (1, None)
        gate.set()
        await handle.wait()
        process = await process_status(url)
        assert process is not None
        assert [role.in_flight for role in process.roles if role.name == STEP] == [0]
    assert await process_status(url) is None


async def test_another_process_sees_how_many_functions_run_on_after_their_time_limit(
    url: str,
) -> None:
    workflow, gate = parcels(), threading.Event()

    @workflow.step(Stage.NEW, timeout=0.05, retry=Retry(attempts=1))
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        gate.wait()
        return Stage.DONE

    async def abandoned() -> int:
        process = await process_status(url)
        assert process is not None
        return sum(role.abandoned for role in process.roles)

    async with Runtime.local(workflow, records=url), connect(workflow, records=url) as client:
        assert await abandoned() == 0
        handle = await client.trigger("1", Parcel())
        with pytest.raises(RunPaused, match="it took longer"):
            await handle.wait()
        assert await abandoned() == 1
        gate.set()
        while await abandoned():
            await asyncio.sleep(0.01)


async def test_another_process_sees_that_a_circuit_breaker_is_open(url: str) -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=Retry(attempts=1), breaker=Breaker(least=1))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ConnectionError("refused")

    async with Runtime.local(workflow, records=url), connect(workflow, records=url) as client:
        handle = await client.trigger("1", Parcel())
        with pytest.raises(RunPaused, match="refused"):
            await handle.wait()
        process = await process_status(url)
        assert process is not None
        found = {role.name: role.breaker for role in process.roles if role.breaker}
    assert list(found) == [STEP]
    assert re.search("pack is open: 1 of 1 attempts failed; next try in (30|29) s", found[STEP])


async def test_another_process_sees_what_retention_has_removed(url: str) -> None:
    workflow = Workflow("parcels", Parcel, Stage, retention=Retention(completed=0))

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    async with Runtime.local(workflow, records=url), connect(workflow, records=url) as client:
        await client.trigger("1", Parcel())
        found: dict[str, dict[str, int]] = {}
        while not found:
            process = await process_status(url)
            assert process is not None
            found = {role.name: role.removed for role in process.roles if role.removed}
            await asyncio.sleep(0.01)  # retention looks by real time
    assert found == {Role(data_group("parcels")).name: {"completed": 1}}


async def test_a_process_that_only_serves_the_store_runs_no_roles(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    with announce(place_of(url)) as path:
        async with IpcServer(MemoryStore(SystemClock())) as server:
            await server.start(path)
            assert await process_status(url) is None
