"""Local runtimes of several processes on one server."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.servers import processes
from tests.unit.runtime.sharer import LEASE, State, Work, sharing
from workflow_ray import Client, Handle, Trigger, connect
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
SOON = timedelta(seconds=20)
SOME = 40


@pytest.fixture(params=["postgres_url", "mariadb_url", "redis_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a store on a server, which several processes can use."""
    place: str = request.getfixturevalue(request.param)
    return place


@asynccontextmanager
async def sharer(*arguments: str) -> AsyncGenerator[Process]:
    """Start another process, and wait until it is ready. It is killed at the end."""
    command = [sys.executable, "-m", "tests.unit.runtime.sharer", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        await said(process, "ready")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process, beginning: str) -> None:
    """Wait for a line with this beginning."""
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(beginning.encode()):
            return
    raise AssertionError(f"it ended: {await process.stderr.read() if process.stderr else ''!r}")


def here(url: str) -> LocalRuntime:
    return LocalRuntime([sharing], Urls.of(url), lease=LEASE)


async def triggered(client: Client[Work, State], name: str) -> list[Handle[Work, State]]:
    return [
        handle
        for handle, _ in await client.trigger_many(
            Trigger(f"{name}-{number}", Work()) for number in range(SOME)
        )
    ]


async def done_by(handles: Sequence[Handle[Work, State]]) -> set[int]:
    """Return the processes that ran the steps, once all are done. Checks the histories."""
    by: set[int] = set()
    for handle in handles:
        run = await handle.wait(timeout=SOON)
        assert [entry.version for entry in await handle.history()] == list(
            range(1, run.version + 1)
        )
        by.add(run.data.by)
    return by


async def test_processes_on_one_server_share_the_work(url: str, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    async with here(url) as runtime, sharer(url, str(tmp_path / "gate")) as other:
        client, rounds = runtime.client(sharing), 0
        # pytest's timeout bounds it
        while await done_by(await triggered(client, f"{rounds}")) != {os.getpid(), other.pid}:
            rounds += 1


async def test_the_others_take_over_from_one_that_leaves(url: str) -> None:
    async with sharer(url) as other, here(url) as runtime:
        assert other.stdin is not None
        other.stdin.close()
        await other.wait()
        handles = await triggered(runtime.client(sharing), "after")
        assert await done_by(handles) == {os.getpid()}


async def test_what_a_killed_process_had_in_hand_is_done_by_the_others(
    url: str, tmp_path: Path
) -> None:
    async with (
        sharer(url, str(tmp_path / "gate")) as other,
        connect(sharing, records=url) as client,
    ):
        handles = await triggered(client, "in-hand")
        await said(other, "begun")
        async with here(url):
            other.send_signal(signal.SIGKILL)
            assert await done_by(handles) == {os.getpid()}


async def test_nothing_that_a_stopped_process_writes_lands_when_it_goes_on(
    url: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with sharer(url, str(gate)) as other, connect(sharing, records=url) as client:
        handles = await triggered(client, "in-hand")
        for _ in handles:
            await said(other, "begun")
        processes.freeze([other.pid])
        async with here(url):
            assert await done_by(handles) == {os.getpid()}
            before = [await handle.history() for handle in handles]
            gate.touch()
            other.send_signal(signal.SIGCONT)
            await working(client, other)
        assert [await handle.history() for handle in handles] == before


async def working(client: Client[Work, State], other: Process) -> None:
    """Wait until the other process has noticed what it lost, and has roles again."""
    rounds = 0
    while other.pid not in await done_by(await triggered(client, f"again-{rounds}")):
        rounds += 1
