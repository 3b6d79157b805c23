"""`Runtime.serve`: it works until a signal comes, and says what it left unfinished."""

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Runtime, connect
from workflow_ray.errors import RuntimeUnavailable

SOON = 20


def lying() -> tuple[Parcels, asyncio.Event]:
    """A workflow whose step does not end, and an event that is set once it runs."""
    workflow, runs = parcels(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        runs.set()
        await asyncio.Event().wait()
        return Stage.DONE

    return workflow, runs


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def begun(*runtimes: Runtime, deadline: float) -> list[asyncio.Task[bool]]:
    serving = [asyncio.create_task(runtime.serve(deadline=deadline)) for runtime in runtimes]
    await asyncio.sleep(0)  # they have their signal handlers
    return serving


async def test_a_deadline_of_zero_abandons_nothing_where_no_step_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workflow, _ = lying()
    async with Runtime.local(workflow, records=tmp_path / "shop.db") as runtime:
        (serving,) = await begun(runtime, deadline=0)
        terminate()
        assert await asyncio.wait_for(serving, SOON)
    assert "did not finish in time" not in caplog.text


async def test_only_roles_whose_steps_run_at_the_deadline_did_not_finish(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workflow, runs = lying()
    async with Runtime.local(workflow, records=tmp_path / "shop.db") as runtime:
        await runtime.client(workflow).trigger("1", Parcel())
        await asyncio.wait_for(runs.wait(), SOON)
        (serving,) = await begun(runtime, deadline=0)
        terminate()
        assert not await asyncio.wait_for(serving, SOON)
    assert "their steps run again: parcels-1-consumer-1-of-1\n" in caplog.text


async def test_one_signal_ends_every_runtime_that_serves_in_the_process(tmp_path: Path) -> None:
    workflow, _ = lying()
    async with (
        Runtime.local(workflow, records=tmp_path / "first.db") as first,
        Runtime.local(workflow, records=tmp_path / "second.db") as second,
    ):
        serving = await begun(first, second, deadline=5)
        terminate()
        assert await asyncio.wait_for(asyncio.gather(*serving), SOON) == [True, True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_a_runtime_that_serves_refuses_to_serve_a_second_time(tmp_path: Path) -> None:
    workflow, _ = lying()
    async with Runtime.local(workflow, records=tmp_path / "shop.db") as runtime:
        (serving,) = await begun(runtime, deadline=5)
        with pytest.raises(RuntimeUnavailable, match="it serves already"):
            await runtime.serve()
        terminate()
        assert await asyncio.wait_for(serving, SOON)


async def test_a_runtime_that_is_left_serves_no_longer(tmp_path: Path) -> None:
    workflow, _ = lying()
    async with Runtime.local(workflow, records=tmp_path / "shop.db") as runtime:
        (serving,) = await begun(runtime, deadline=5)
    with pytest.raises(RuntimeUnavailable, match="the runtime was left meanwhile"):
        await asyncio.wait_for(serving, SOON)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_leaving_that_is_cancelled_waits_for_no_step_and_releases_all_roles(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workflow, runs = lying()
    runtime = Runtime.local(workflow, records=tmp_path / "shop.db")
    await runtime.__aenter__()
    handle = await runtime.client(workflow).trigger("1", Parcel())
    await asyncio.wait_for(runs.wait(), SOON)
    leaving = asyncio.create_task(runtime.__aexit__(None, None, None))
    await asyncio.sleep(0)  # it has begun
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(leaving, SOON)
    assert "was not released" not in caplog.text
    assert "trying again" not in caplog.text
    async with connect(workflow, records=tmp_path / "shop.db") as client:
        assert (await client.get(handle.run_id)).attempt == 0


async def test_what_is_loaded_when_it_begins_is_left_out_of_garbage_collections(
    tmp_path: Path,
) -> None:
    gc.unfreeze()
    async with Runtime.local(lying()[0], records=tmp_path / "shop.db") as runtime:
        assert gc.get_freeze_count() == 0
        (serving,) = await begun(runtime, deadline=0)
        assert gc.get_freeze_count() > 10_000
        terminate()
        assert await asyncio.wait_for(serving, SOON)
    gc.unfreeze()
