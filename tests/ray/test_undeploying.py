"""Removing workflows from a deployment on Ray, and workflows whose module is gone (U14)."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import Deployment, eventually
from tests.ray.flows import Letter, Parcel, parcels
from workflow_ray import RunState, Runtime, Workflow
from workflow_ray.definition import load
from workflow_ray.errors import RunsUnfinished
from workflow_ray.runtime.ray.actor_status import FAILING

SOON = timedelta(seconds=20)

SOURCE = """
from typing import Literal
from tests.ray.flows import Letter
from workflow_ray import Run, Runtime, Status, Workflow

class S(Status):
    A = 1
    B = 2

short = Workflow("short", Letter, S)

@short.step(S.A)
async def post(run: Run[Letter, S]) -> Literal[S.B]:
    return S.B
"""
SCRIPT = f"""{SOURCE}
import asyncio, pathlib, sys
with pathlib.Path(__file__).with_name("executed").open("a") as executed:
    executed.write("once")

async def main() -> None:
    async with Runtime.local(short, records=sys.argv[1]):
        pass

asyncio.run(main())
"""
ROLE = "short-1-consumer-1-of-1"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    name = "".join(letter if letter.isalnum() else "_" for letter in tmp_path.name)
    return tmp_path / f"{name}.py"


def written(module: Path) -> Workflow[Any, Any]:
    """Write the module, and return its workflow."""
    module.write_text(SOURCE)
    return load(f"{module.stem}:short", [str(module.parent)])


async def check_work(runtime: Runtime, foreign_id: str) -> None:
    """Check that the other workflow works."""
    handle = await runtime.client(parcels).trigger(foreign_id, Parcel())
    assert (await handle.wait(timeout=SOON)).run_state is RunState.COMPLETED


async def test_an_undeployed_workflow_has_no_actors_and_goes_on_once_it_is_deployed_again(
    deployment: Deployment, module: Path
) -> None:
    short = written(module)
    async with Runtime.ray(short, parcels, records=deployment.records) as runtime:
        pids = await deployment.pids()
        await runtime.undeploy(short)
        found = await deployment.actors()
        own = {ROLE, "short-bulk-1-of-1", "short-data-1-of-1"}
        assert own.isdisjoint(found)
        for name in own:
            del pids[name]
        assert {name: one.pid for name, one in found.items()} == pids, "the others go on"
        await check_work(runtime, "a")
        handle = await runtime.client(short).trigger("1", Letter())
    async with Runtime.ray(short, records=deployment.records) as runtime:
        again = runtime.client(short).handle(handle.run_id)
        assert (await again.wait(timeout=SOON)).run_state is RunState.COMPLETED


async def test_a_deleted_module_keeps_its_own_roles_from_running_and_says_why(
    deployment: Deployment, module: Path
) -> None:
    short = written(module)
    async with Runtime.ray(short, parcels, records=deployment.records) as runtime:
        pids = await deployment.pids()
        module.unlink()
        os.kill(pids[ROLE], signal.SIGKILL)

        async def is_failing() -> bool:
            return (await deployment.actors())[ROLE].phase == FAILING

        await eventually(is_failing, "the role is not marked as failing")
        found = (await deployment.actors())[ROLE]
        assert found.why.startswith("workflow 'short': ")
        assert f"found no module '{module.stem}'" in found.why
        assert "`workflow-ray undeploy short`" in found.why
        await check_work(runtime, "a")
        handle = await runtime.client(short).trigger("1", Letter())
        with pytest.raises(RunsUnfinished, match=r"1 unfinished run \(1 INITIATED\)"):
            await runtime.undeploy("short")
        await runtime.undeploy("short", force=True)
        assert ROLE not in await deployment.actors()
        module.write_text(SOURCE)
    async with Runtime.ray(short, records=deployment.records) as runtime:
        again = runtime.client(short).handle(handle.run_id)
        assert (await again.wait(timeout=SOON)).run_state is RunState.COMPLETED


async def test_a_deploy_starts_roles_at_once_that_could_not_be_loaded_before(
    deployment: Deployment, module: Path
) -> None:
    short = written(module)
    async with Runtime.ray(short, records=deployment.records):
        pids = await deployment.pids()
        module.unlink()
        os.kill(pids[ROLE], signal.SIGKILL)

        async def has_failed_twice() -> bool:
            return (await deployment.actors())[ROLE].failures > 1

        await eventually(has_failed_twice, "the role does not fail")
    module.write_text(SOURCE)
    async with Runtime.ray(short, records=deployment.records) as runtime:
        handle = await runtime.client(short).trigger("1", Letter())
        assert (await handle.wait(timeout=SOON)).run_state is RunState.COMPLETED


async def test_a_workflow_of_a_script_does_not_break_a_later_deploy(
    deployment: Deployment, module: Path
) -> None:
    module.write_text(SCRIPT)
    subprocess.run([sys.executable, module, deployment.records], check=True)
    executed = module.with_name("executed")
    async with Runtime.ray(parcels, records=deployment.records) as runtime:

        async def is_failing() -> bool:
            return (await deployment.actors())[ROLE].phase == FAILING

        await eventually(is_failing, "the role is not marked as failing")
        assert "it was deployed by a script" in (await deployment.actors())[ROLE].why
        await check_work(runtime, "a")
        await runtime.undeploy("short")
        assert ROLE not in await deployment.actors()
    assert executed.read_text() == "once", "no actor imports the script, which would run it"
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        await check_work(runtime, "b")
