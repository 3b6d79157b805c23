"""Shard counts that are changed on Ray while the workflow runs."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.ray.conftest import Deployment, ended, eventually
from tests.ray.flows import Job, JobStatus, jobs
from workflow_ray import Client, Handle, RunState, Runtime, Trigger

SOON = timedelta(seconds=60)
LOAD = 20
"""Runs triggered at once."""
PAUSE = 0.1
"""Seconds between two such times."""

Handles = list[Handle[Job, JobStatus]]


async def triggered(client: Client[Job, JobStatus], folder: Path, name: str) -> Handles:
    triggers: list[Trigger[Job, JobStatus]]
    triggers = [Trigger(f"{name}-{number}", Job(folder=str(folder))) for number in range(LOAD)]
    return [handle for handle, _ in await client.trigger_many(triggers)]


async def check(handles: Sequence[Handle[Job, JobStatus]]) -> None:
    """That each run is completed, and its history holds each version once."""
    for handle in handles:
        run = await handle.wait(timeout=SOON)
        assert run.run_state is RunState.COMPLETED
        assert [entry.version for entry in await handle.history()] == list(range(1, run.version + 1))


def attempts(folder: Path) -> Counter[str]:
    journal = folder / "journal"
    return Counter(journal.read_text().split() if journal.exists() else ())


@pytest.mark.timeout(180)
async def test_shards_are_drained_before_their_count_changes_so_that_no_attempt_repeats(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that is busy with other things drains later than within the 1 s that users have.
    monkeypatch.setattr("workflow_ray.runtime.scaling.DRAIN", 4.0)
    (tmp_path / "gate").touch()
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        client, enough, handles = runtime.client(jobs), asyncio.Event(), Handles()

        async def load() -> None:
            while not enough.is_set():
                handles.extend(await triggered(client, tmp_path, f"load-{len(handles)}"))
                await asyncio.sleep(PAUSE)

        loading = asyncio.create_task(load())
        for count in (3, 2):
            begun = attempts(tmp_path).total()
            await eventually(lambda: _more(tmp_path, begun + LOAD), "nothing runs")  # noqa: B023  awaited before the variable changes
            await runtime.scale(jobs, JobStatus.NEW, shards=count)
        enough.set()
        await loading
        await check(handles)
        assert set(attempts(tmp_path).values()) == {1}
        assert len(attempts(tmp_path)) == len(handles)
        names = {name for name in await deployment.actors() if name.startswith("jobs-1-consumer")}
        assert {f"jobs-1-consumer-{shard}-of-2" for shard in (1, 2)} <= names


@pytest.mark.timeout(180)
async def test_no_write_of_an_actor_that_stood_still_while_its_group_was_scaled_is_committed(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        client = runtime.client(jobs)
        await runtime.scale(jobs, JobStatus.NEW, shards=2)
        handles = await triggered(client, tmp_path, "job")
        await eventually(lambda: _more(tmp_path, LOAD), "some step does not begin")
        old = (await deployment.pids())["jobs-1-consumer-1-of-2"]
        os.kill(old, signal.SIGSTOP)
        (tmp_path / "gate").touch()
        await runtime.scale(jobs, JobStatus.NEW, shards=3)
        os.kill(old, signal.SIGCONT)  # it ends its steps, and tries to commit them
        await eventually(lambda: ended([old]), "the actor of the old shard stays")
        await check(handles)
        written = {handle.run_id: {entry.by for entry in await handle.history()} for handle in handles}
        assert all("jobs-1-consumer-1-of-2" not in roles for roles in written.values())
        assert set(attempts(tmp_path).values()) == {1, 2}, "it had steps in hand, which were run again"


async def _more(folder: Path, count: int) -> bool:
    return attempts(folder).total() >= count
