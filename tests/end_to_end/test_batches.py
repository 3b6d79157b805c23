"""Batches whose process is killed in the middle, or by one of their runs: no other run loses an
attempt.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.scores import ATTEMPTS, GATE, Score, ScoreStatus, calls, scores
from tests.end_to_end.workers import POLL, WorkerProcess, until, workers
from workflow_ray import Cause, Client, RunState, Trigger, WorkflowError, connect

LEASE = 2.0
SCORES = "tests.end_to_end.scores"
RUNS = 30
pytestmark = pytest.mark.timeout(180)

SUCCEEDED = [Cause.TRIGGER, Cause.STEP]
COUNTED = [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]


async def test_a_worker_killed_in_the_middle_of_a_batch_costs_no_attempt(tmp_path: Path) -> None:
    await kill_in_the_middle(f"sqlite:///{tmp_path}/scores.db", tmp_path)


async def test_on_postgresql_a_worker_killed_in_the_middle_of_a_batch_costs_no_attempt(
    postgres_url: str, tmp_path: Path
) -> None:
    await kill_in_the_middle(postgres_url, tmp_path)


async def test_a_run_that_kills_its_process_loses_its_attempts_and_its_neighbours_none(
    tmp_path: Path,
) -> None:
    await kill_by_a_run(f"sqlite:///{tmp_path}/scores.db", tmp_path)


async def test_on_postgresql_a_run_that_kills_its_process_loses_its_attempts_alone(
    postgres_url: str, tmp_path: Path
) -> None:
    await kill_by_a_run(postgres_url, tmp_path)


async def kill_in_the_middle(url: str, folder: Path) -> None:
    journal = folder / "journal"
    async with workers(1, journal, LEASE, url, module=SCORES) as (worker,):
        runs = await triggered(url, [Score() for _ in range(RUNS)])
        await until(lambda: calls(journal))
        await worker.kill()
        (batch,) = calls(journal)
        assert len(batch) > 1
        (folder / GATE).touch()
        await worker.start()
        for name in runs.values():
            await at_rest(url, name)
        async with connect(scores, records=url) as client:
            for run_id in runs.values():
                assert await causes(client, run_id) == SUCCEEDED
    after = calls(journal)[1:]
    assert all([name] in after for name in batch), "what was in doubt is tried alone"
    assert Counter(name for call in after for name in call) == dict.fromkeys(runs, 1)


async def kill_by_a_run(url: str, folder: Path) -> None:
    journal = folder / "journal"
    (folder / GATE).touch()
    async with workers(1, journal, LEASE, url, module=SCORES) as (worker,):
        given = [Score(), Score(), Score(is_deadly=True), Score()]
        runs = await triggered(url, given)
        restarting = asyncio.create_task(restart(worker))
        for run_id in runs.values():
            await at_rest(url, run_id)
        restarting.cancel()
        await asyncio.wait({restarting})
        async with connect(scores, records=url) as client:
            found = {name: await causes(client, run_id) for name, run_id in runs.items()}
            killer = await client.handle(runs["2"]).get()
    assert found.pop("2") == [Cause.TRIGGER, *[Cause.DOUBT] * ATTEMPTS, Cause.FAILED]
    assert all(each in (SUCCEEDED, COUNTED) for each in found.values()), found
    assert f"its attempts ({ATTEMPTS}) are used up" in (killer.reason or "")
    assert len(calls(journal)[0]) > 1
    assert calls(journal).count(["2"]) >= ATTEMPTS


async def restart(worker: WorkerProcess) -> None:
    """Start the worker again whenever it has died."""
    while True:
        assert worker.process is not None
        await worker.process.wait()
        await worker.start()


async def triggered(url: str, given: Sequence[Score]) -> dict[str, str]:
    """Trigger runs with this data, named by their place. Returns their ids."""
    async with connect(scores, records=url) as client:
        started = await client.trigger_many(
            [Trigger(f"{number}", data) for number, data in enumerate(given)]
        )
        return {f"{number}": handle.run_id for number, (handle, _) in enumerate(started)}


async def at_rest(url: str, run_id: str) -> None:
    """Wait until the run is completed or paused, whatever becomes of the worker meanwhile."""
    async with asyncio.timeout(90):
        while True:
            with suppress(WorkflowError):
                async with connect(scores, records=url) as client:
                    run = await client.handle(run_id).get()
                    if run.run_state in (RunState.COMPLETED, RunState.PAUSED):
                        return
            await asyncio.sleep(20 * POLL)


async def causes(client: Client[Score, ScoreStatus], run_id: str) -> list[Cause]:
    return [entry.cause for entry in await client.handle(run_id).history()]
