"""The status that a local process tells to others (U12)."""

import asyncio
import os
from pathlib import Path
from typing import Literal

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import Runtime, connect
from workflow_ray.ports import SystemClock
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


async def test_a_process_that_only_serves_the_store_runs_no_roles(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    with announce(place_of(url)) as path:
        async with IpcServer(MemoryStore(SystemClock())) as server:
            await server.start(path)
            assert await process_status(url) is None
