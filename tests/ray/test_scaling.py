"""Changing shard counts on Ray while the workflow runs."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.ray.conftest import Deployment, ended, eventually
from tests.ray.flows import Job, JobStatus, jobs
from tests.servers import processes
from workflow_ray import Client, Handle, RunState, Runtime, Trigger
from workflow_ray.errors import RoleRetired
from workflow_ray.runtime.hosting import group_roles

SOON = timedelta(seconds=60)
LOAD = 20
"""Runs triggered at once."""
PAUSE = 0.1
"""Seconds between two such times."""
PATIENT = 4.0
"""Seconds to drain: a machine that is busy with other things takes longer than the 1 s that users
have.
"""
GROUP = "jobs-1-consumer"

Handles = list[Handle[Job, JobStatus]]


async def triggered(client: Client[Job, JobStatus], folder: Path, name: str) -> Handles:
    triggers: list[Trigger[Job, JobStatus]]
    triggers = [Trigger(f"{name}-{number}", Job(folder=str(folder))) for number in range(LOAD)]
    return [handle for handle, _ in await client.trigger_many(triggers)]


async def check(handles: Sequence[Handle[Job, JobStatus]]) -> None:
    """Check that each run is completed, and that its history has each version once."""
    for handle in handles:
        run = await handle.wait(timeout=SOON)
        assert run.run_state is RunState.COMPLETED
        assert [entry.version for entry in await handle.history()] == list(
            range(1, run.version + 1)
        )


def of(shards: int) -> list[str]:
    """Return the names of the actors of so many shards."""
    return [role.name for role in group_roles(GROUP, shards)]


def attempts(folder: Path) -> Counter[str]:
    journal = folder / "journal"
    return Counter(journal.read_text().split() if journal.exists() else ())


@pytest.mark.timeout(180)
async def test_shards_are_drained_before_their_count_changes_so_that_no_attempt_repeats(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.scaling.DRAIN", PATIENT)
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
            await eventually(partial(_more, tmp_path, begun + LOAD), "nothing runs")
            await runtime.scale(jobs, JobStatus.NEW, shards=count)
        enough.set()
        await loading
        await check(handles)
        assert set(attempts(tmp_path).values()) == {1}
        assert len(attempts(tmp_path)) == len(handles)
        names = {name for name in await deployment.actors() if name.startswith("jobs-1-consumer")}
        assert {f"jobs-1-consumer-{shard}-of-2" for shard in (1, 2)} <= names


@pytest.mark.timeout(180)
async def test_no_write_of_an_actor_that_was_suspended_during_scaling_is_committed(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        client = runtime.client(jobs)
        await runtime.scale(jobs, JobStatus.NEW, shards=2)
        handles = await triggered(client, tmp_path, "job")
        await eventually(lambda: _more(tmp_path, LOAD), "some step does not begin")
        old = (await deployment.pids())["jobs-1-consumer-1-of-2"]
        processes.freeze([old])
        (tmp_path / "gate").touch()
        await runtime.scale(jobs, JobStatus.NEW, shards=3)
        os.kill(old, signal.SIGCONT)  # it ends its steps, and tries to commit them
        await eventually(lambda: ended([old]), "the actor of the old shard stays")
        await check(handles)
        written = {
            handle.run_id: {entry.by for entry in await handle.history()} for handle in handles
        }
        assert all("jobs-1-consumer-1-of-2" not in roles for roles in written.values())
        assert set(attempts(tmp_path).values()) == {
            1,
            2,
        }, "it had steps in hand, which were run again"


@pytest.mark.timeout(180)
async def test_the_actors_of_the_new_shards_are_on_standby_before_the_old_ones_drain(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.scaling.DRAIN", 60.0)  # the gate ends the drain
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        handles = await triggered(runtime.client(jobs), tmp_path, "job")
        await eventually(lambda: _more(tmp_path, LOAD), "some step does not begin")
        (old,) = (pid for name, pid in (await deployment.pids()).items() if name.startswith(GROUP))
        scaling = asyncio.create_task(runtime.scale(jobs, JobStatus.NEW, shards=3))
        await eventually(lambda: _drains(runtime), "the group does not drain")
        prepared = {
            name: one for name, one in (await deployment.actors()).items() if name.endswith("-of-3")
        }
        assert {name: (one.phase, one.epoch) for name, one in prepared.items()} == dict.fromkeys(
            of(3), ("standby", None)
        )
        assert not await ended([old]), "its steps wait for the gate"
        (tmp_path / "gate").touch()
        assert await scaling == 3
        shards = {
            name: one for name, one in (await deployment.actors()).items() if name.endswith("-of-3")
        }
        assert {name: one.pid for name, one in shards.items()} == {
            name: one.pid for name, one in prepared.items()
        }
        await check(handles)
        assert set(attempts(tmp_path).values()) == {1}


@pytest.mark.timeout(180)
async def test_actors_on_standby_that_are_never_wanted_end_and_have_acquired_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        await deployment.prepare(GROUP, 3)
        found = await deployment.actors()
        assert [found[name].phase for name in of(3)] == ["standby"] * 3
        before = await runtime.store.positions(GROUP)
        # the current count: nothing is wanted beside it
        await deployment.prepare(GROUP, 1)
        await eventually(
            lambda: ended(found[name].pid or 0 for name in of(3)), "an actor on standby stays"
        )
        assert await runtime.store.positions(GROUP) == before
        handles = await triggered(runtime.client(jobs), tmp_path, "job")
        await check(handles)
        for role in group_roles(GROUP, 3):
            with pytest.raises(RoleRetired):
                await runtime.store.acquire(role)
        await runtime.scale(jobs, JobStatus.NEW, shards=3)
        found = await deployment.actors()
        assert [found[name].epoch for name in of(3)] == [1, 1, 1], "nobody acquired them before"


@pytest.mark.timeout(180)
async def test_an_actor_that_is_killed_on_standby_costs_nothing(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.scaling.DRAIN", PATIENT)
    (tmp_path / "gate").touch()
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        await deployment.prepare(GROUP, 3)
        await _kill(deployment, of(3)[0])
        handles = await triggered(runtime.client(jobs), tmp_path, "job")
        assert await runtime.scale(jobs, JobStatus.NEW, shards=3) == 3
        handles += await triggered(runtime.client(jobs), tmp_path, "late")
        await check(handles)
        assert set(attempts(tmp_path).values()) == {1}


@pytest.mark.timeout(180)
async def test_a_supervisor_that_is_killed_after_it_has_prepared_shards_costs_only_time(
    deployment: Deployment, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    async with Runtime.ray(jobs, records=deployment.records) as runtime:
        await deployment.prepare(GROUP, 3)
        await _kill(deployment, "supervisor")
        handles = await triggered(runtime.client(jobs), tmp_path, "job")
        assert await runtime.scale(jobs, JobStatus.NEW, shards=3) == 3
        await check(handles)


async def _kill(deployment: Deployment, name: str) -> None:
    pid = (await deployment.actors())[name].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def _drains(runtime: Runtime) -> bool:
    return any(workflow.draining for workflow in (await runtime.store.deployment()).workflows)


async def _more(folder: Path, count: int) -> bool:
    return attempts(folder).total() >= count
