"""Waits that say whether a process runs the workflow (U17)."""

import asyncio
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, packing, parcels
from tests.unit.runtime.sharer import LEASE, Work, sharing
from tests.unit.runtime.test_hosting import shipping
from workflow_ray import Client, Runtime, connect
from workflow_ray.errors import WaitTimeout

ROOT = Path(__file__).parents[3]
SHORT = 0.3


def standing() -> Parcels:
    """Make a workflow whose step fails again and again."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.weight += 1
        raise RuntimeError("again")

    return workflow


async def message_of(client: Client[Any, Any], data: BaseModel | None = None) -> str:
    """Return the error of a wait that times out."""
    handle = await client.trigger("1", data or Parcel(), if_active="join")
    with pytest.raises(WaitTimeout) as raised:
        await handle.wait(timeout=SHORT)
    return str(raised.value)


async def test_where_nothing_runs_a_wait_that_times_out_says_so(any_url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=any_url):
        pass
    async with connect(workflow, records=any_url) as client:
        text = await message_of(client)
        assert "No process runs the step of NEW, so the run does not go on. Start one:" in text
        assert "`workflow-ray worker MODULE:ATTRIBUTE --records " in text


async def test_where_a_process_runs_other_workflows_only_it_says_so_too(any_url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=any_url):
        pass
    async with (
        Runtime.local(shipping, records=any_url),
        connect(workflow, records=any_url) as client,
    ):
        assert "No process runs the step of NEW" in await message_of(client)


async def test_where_its_step_fails_again_and_again_no_process_is_missed(any_url: str) -> None:
    workflow = standing()
    async with (
        Runtime.local(workflow, records=any_url) as runtime,
        connect(workflow, records=any_url) as client,
    ):
        for one in (client, runtime.client(workflow)):
            assert "o process runs" not in await message_of(one)
        await runtime.undeploy(workflow, force=True)
        assert "No process runs the step of NEW" in await message_of(client)


@pytest.mark.parametrize(
    "place", ["sqlite", pytest.param("postgres_url", marks=pytest.mark.server)]
)
async def test_a_process_that_was_killed_is_missed_once_its_leases_are_over(
    place: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file = f"sqlite:///{tmp_path}/runs.db"
    url = file if place == "sqlite" else request.getfixturevalue(place)
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "tests.unit.runtime.sharer", url, str(tmp_path / "gate")),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    async with connect(sharing, records=url) as client:
        assert "o process runs" not in await message_of(client, Work())
    process.kill()
    await process.communicate()
    async with connect(sharing, records=url) as client, asyncio.timeout(10 * LEASE):
        while "No process runs the step of NEW" not in (text := await message_of(client, Work())):
            pass
        assert "worker tests.unit.runtime.sharer:sharing --records " in text
