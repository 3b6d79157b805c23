"""A step that blocks its worker's event loop for longer than a lease only makes the worker slow."""

from pathlib import Path

import pytest

from tests.end_to_end.chores import Chore, chores, count_executions
from tests.end_to_end.workers import check, workers
from workflow_ray import connect

OTHERS = 40
"""Other runs for each one that blocks."""


@pytest.fixture
def plan(thorough: bool) -> tuple[int, float, float]:
    """Return how often a loop is blocked, for how many seconds, and the lease."""
    return (4, 15.0, 10.0) if thorough else (2, 4.0, 1.5)


@pytest.mark.timeout(400)
async def test_a_blocked_loop_pauses_no_run_and_executes_no_step_twice(
    postgres_url: str, tmp_path: Path, plan: tuple[int, float, float]
) -> None:
    rounds, seconds, lease = plan
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, lease, postgres_url),
        connect(chores, records=postgres_url) as client,
    ):
        for number in range(rounds):
            handles = [
                await client.trigger(f"blocks-{number}", Chore(seconds=seconds, blocks=True))
            ]
            handles += [
                await client.trigger(f"{number}-{other}", Chore(seconds=0.05))
                for other in range(OTHERS)
            ]
            await check(handles)
    counted = count_executions(journal)
    assert len(counted) == 2 * rounds * (OTHERS + 1)
    assert set(counted.values()) == {1}, {
        step: count for step, count in counted.items() if count > 1
    }
