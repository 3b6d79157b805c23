"""Workers that are stopped one after the other under load: nothing counts as a crash."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.end_to_end.chores import Chore, ChoreStatus, chores
from tests.end_to_end.workers import check, workers
from workflow_ray import Client, Handle, connect

LEASE = 3.0


@pytest.fixture
def plan(thorough: bool) -> tuple[int, float, float]:
    """Return the number of restarts, the seconds between two, and the longest step in seconds."""
    return (24, 5.0, 8.0) if thorough else (6, 1.5, 3.0)


@pytest.mark.timeout(400)
async def test_a_rolling_restart_counts_no_attempt_and_pauses_no_run(
    postgres_url: str, tmp_path: Path, rng: random.Random, plan: tuple[int, float, float]
) -> None:
    restarts, pause, longest = plan
    async with (
        workers(2, tmp_path / "journal", LEASE, postgres_url) as pair,
        connect(chores, records=postgres_url) as client,
    ):
        enough = asyncio.Event()
        load = asyncio.create_task(trigger_steadily(client, rng, longest, enough))
        for number in range(restarts):
            await asyncio.sleep(pause)
            worker = pair[number % 2]
            await worker.terminate()
            await worker.start()
        enough.set()
        await check(await load)


async def trigger_steadily(
    client: Client[Chore, ChoreStatus], rng: random.Random, longest: float, enough: asyncio.Event
) -> list[Handle[Chore, ChoreStatus]]:
    """Trigger some ten runs a second until there are enough."""
    handles: list[Handle[Chore, ChoreStatus]] = []
    while not enough.is_set():
        handles.append(
            await client.trigger(f"chore-{len(handles)}", Chore(seconds=rng.uniform(0, longest)))
        )
        await asyncio.sleep(0.1)
    return handles
