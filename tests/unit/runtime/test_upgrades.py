"""Local runtimes with older and newer code on one store (E15), and with other definitions of its
names (U7).
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Route, RoutedRun, Stage, packing
from workflow_ray import Pause, Runtime, Workflow
from workflow_ray.definition import load
from workflow_ray.errors import DeployStrandsRuns, DuplicateWorkflow, WorkflowNameTaken
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.testing import WorkflowTester

SOON = timedelta(seconds=20)
LOST = "DONE has lost all its functions, and 2 unfinished runs stand at it"
SOURCE = """
from typing import Literal
from pydantic import BaseModel
from workflow_ray import Run, Status, Workflow
from {helper} import LABEL

class Letter(BaseModel):
    label: str = ""

class At(Status):
    NEW, DONE = 1, 2

letters = Workflow("letters", Letter, At)

@letters.step(At.NEW)
async def write(run: Run[Letter, At]) -> Literal[At.DONE]:
    run.data.label = LABEL
    return At.DONE
"""


Make: TypeAlias = Callable[..., Workflow[Any, Any]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Imports a version of a workflow, like a process that has this version.

    Versions differ in a module that it imports.
    """
    monkeypatch.setattr(sys, "path", list(sys.path))
    unique = uuid4().hex

    def imported(label: str, module: str = "letters") -> Workflow[Any, Any]:
        forget()
        name, helper, folder = f"{module}_{unique}", f"helper_{unique}", tmp_path / label
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(SOURCE.format(helper=helper))
        (folder / f"{helper}.py").write_text(f"LABEL = {label!r}")
        return load(f"{name}:letters", [str(folder)])

    def forget() -> None:
        sys.path[:] = [folder for folder in sys.path if not folder.startswith(str(tmp_path))]
        for module in [module for module in sys.modules if module.endswith(unique)]:
            del sys.modules[module]

    yield imported
    forget()


async def deployed(runtime: LocalRuntime) -> DeployedWorkflow:
    return next(
        workflow
        for workflow in (await runtime.store.deployment()).workflows
        if workflow.name == "letters"
    )


async def label(runtime: LocalRuntime, workflow: Workflow[Any, Any], key: str) -> str:
    """Return what the step writes."""
    run = await (await runtime.client(workflow).trigger(key, workflow.data())).wait(timeout=SOON)
    return str(run.data.label)


# --- older code ---------------------------------------------------------------------------------


async def test_an_old_process_that_comes_late_leaves_the_newer_definition_deployed(
    url: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("v1", "v2"):
        async with Runtime.local(make(version), records=url) as runtime:
            newest = await deployed(runtime)
    assert caplog.text == ""
    async with Runtime.local(old := make("v1"), records=url) as runtime:
        assert await deployed(runtime) == newest
        assert await label(runtime, old, "late") == "v1"
    assert "workflow 'letters': other code has replaced this process's" in caplog.text


async def test_a_local_rollback_deploys_the_older_code(
    url: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("v1", "v2"):
        async with Runtime.local(make(version), records=url) as runtime:
            newer = await deployed(runtime)
    async with Runtime.local(old := make("v1"), records=url, rollback=True) as runtime:
        assert (await deployed(runtime)).superseded == (newer.code,)
        assert await label(runtime, old, "back") == "v1"
    async with Runtime.local(make("v1"), records=url) as runtime:
        pass
    assert caplog.text == ""


@pytest.mark.parametrize("place", ["postgres_url", "redis_url"])
async def test_a_process_of_the_older_code_that_restarts_in_a_rolling_upgrade_shares_the_work(
    place: str, request: pytest.FixtureRequest, make: Make
) -> None:
    url: str = request.getfixturevalue(place)
    async with Runtime.local(make("v1"), records=url):
        pass
    async with Runtime.local(make("v2"), records=url) as new:
        newest = await deployed(new)
        async with Runtime.local(old := make("v1"), records=url) as restarted:
            assert await deployed(restarted) == newest
            assert await label(restarted, old, "during") in ("v1", "v2")
        assert await deployed(new) == newest


# --- one name -----------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [Runtime.local, Runtime.ray, WorkflowTester])
def test_two_workflows_of_one_name_in_one_program_are_refused(made: Callable[..., object]) -> None:
    one, other = packing(), packing()
    assert made(one, one)
    with pytest.raises(
        DuplicateWorkflow,
        match=(
            r"name 'parcels': tests\.unit\.parcels \(.*parcels\.py:\d+\) and"
            r" tests\.unit\.parcels \("
        ),
    ):
        made(one, other)


async def test_a_second_program_with_another_workflow_of_the_name_is_refused_and_the_first_stays(
    url: str, make: Make
) -> None:
    async with Runtime.local(first := make("v1"), records=url) as runtime:
        before = await runtime.store.deployment()
        assert await label(runtime, first, "1") == "v1"
    with pytest.raises(
        WorkflowNameTaken,
        match=(
            r"deployed here from letters_\w+:letters \(.*\.py:13\), and this is"
            r" other_\w+:letters \("
        ),
    ):
        await Runtime.local(make("v2", "other"), records=url).__aenter__()
    async with Runtime.local(make("v1"), records=url) as runtime:
        assert await runtime.store.deployment() == before
    async with Runtime.local(moved := make("v2", "other"), records=url, replace=True) as runtime:
        assert await label(runtime, moved, "2") == "v2"


SCRIPT = """
import asyncio
from workflow_ray import Runtime

async def main():
    async with Runtime.local(letters):
        pass

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_two_scripts_of_one_folder_cannot_share_a_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "texts.py").write_text("LABEL = ''")
    for script in ("shop.py", "billing.py"):
        (tmp_path / script).write_text(SOURCE.format(helper="texts") + SCRIPT)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("WORKFLOW_RAY")
    }

    def ran(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr

    assert ran("shop.py") == ran("shop.py") == ran("-m", "shop") == ""
    assert ran("-c", "import asyncio, shop; asyncio.run(shop.main())") == ""
    refused = ran("billing.py").splitlines()[-1]
    assert (
        f"deployed here from shop:letters ({tmp_path}/shop.py:13), and this is billing"
        f" ({tmp_path}/billing.py)" in refused
    )


# --- steps that are gone ------------------------------------------------------------------------


async def test_a_deploy_that_takes_the_step_of_unfinished_runs_is_refused_unless_it_may_strand_them(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = Workflow("parcels", Parcel, Route, entry=Route.LOST)
    second = Workflow("parcels", Parcel, Stage)

    @first.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED, Route.SENT]:
        return Route.SENT if run.foreign_id == "sent" else Route.PACKED

    @first.step(Route.PACKED)
    async def look(run: RoutedRun) -> Literal[Route.SENT] | Pause:
        return Pause("look at it")

    @second.step(Stage.NEW)
    async def finish(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    async with Runtime.local(first, records=url) as runtime:
        client = runtime.client(first)
        for key, status in (("1", Route.PACKED), ("2", Route.PACKED), ("sent", Route.SENT)):
            await (await client.trigger(key, Parcel())).wait_for(status, timeout=SOON)
    with pytest.raises(DeployStrandsRuns, match=LOST):
        async with Runtime.local(second, records=url, replace=True):
            pass
    assert not re.search(LOST, caplog.text)
    async with Runtime.local(second, records=url, replace=True, strand=True):
        pass
    assert re.search(LOST, caplog.text)
    caplog.clear()
    async with Runtime.local(second, records=url):  # nothing has changed
        pass
    assert not re.search(LOST, caplog.text)
