"""Whatever happens to two workers, their clocks and their servers under load, every run ends.

Its history has each version once, and an attempt is counted only where a process died.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
import redis as driver

from tests.end_to_end.chores import Chore, ChoreStatus, chores, read_executions
from tests.end_to_end.faults import (
    HARMLESS,
    KILLING,
    Disturbance,
    Fault,
    Site,
    clock_jumps,
    log_cut,
    loop_blocked,
    step_scaled,
    store_read_only,
    store_restarted,
    strike_all,
    worker_frozen,
    worker_killed,
    worker_told_to_stop,
)
from tests.end_to_end.workers import AT_ONCE, PATIENCE, describe, workers
from tests.servers import Postgres
from workflow_ray import Handle, RunState, connect
from workflow_ray.client import Entry
from workflow_ray.ports import SystemClock
from workflow_ray.records import Cause
from workflow_ray.runtime.connect import open_beside

LEASE, LONG_LEASE = 3.0, 6.0
PAUSE = 0.5
"""Seconds between two faults, on average."""
EVERYTHING: tuple[Fault, ...] = (
    worker_told_to_stop,
    worker_killed,
    worker_frozen,
    clock_jumps,
    clock_jumps,
    loop_blocked,
    store_read_only,
    store_restarted,
    step_scaled,
    step_scaled,
    step_scaled,
)
EVENTS_APART: tuple[Fault, ...] = (
    worker_killed,
    log_cut,
    log_cut,
    log_cut,
    step_scaled,
    worker_told_to_stop,
    store_read_only,
)
EXECUTED = (Cause.STEP, Cause.REPEAT, Cause.RETRY)
"""Causes of the entry that an execution of a step writes."""
COUNTED = (Cause.DOUBT, Cause.GIVEN_BACK)
"""Causes of an entry that is written where a process died, or seems to have."""
Executions: TypeAlias = Mapping[tuple[str, str], Sequence[float]]
KILLS = {fault.__name__ for fault in KILLING}
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def rounds(thorough: bool) -> int:
    return 10 if thorough else 1


@asynccontextmanager
async def made(
    url: str, journal: Path, rng: random.Random, *, lease: float, events: str | None = None
) -> AsyncGenerator[Site]:
    urls = [url] if events is None else [url, events]
    async with (
        workers(2, journal, lease, *urls) as pair,
        connect(chores, records=url) as client,
        open_beside(url, SystemClock()) as records,
    ):
        yield Site(pair, lease, url, records, client, rng)


async def test_faults_without_a_crash_count_no_attempt_and_execute_no_step_again(
    postgres_url: str, tmp_path: Path, rng: random.Random, rounds: int
) -> None:
    journal = tmp_path / "journal"
    async with made(postgres_url, journal, rng, lease=LONG_LEASE) as site:
        await strike_all(site, [*HARMLESS, clock_jumps], rounds=rounds, pause=PAUSE)
        await check(site.handles, journal, [])


async def test_whatever_happens_every_run_ends_and_each_execution_again_has_its_reason(
    server_folder: Path, tmp_path: Path, rng: random.Random, rounds: int
) -> None:
    journal = tmp_path / "journal"
    with Postgres(server_folder) as server:
        async with made(server.url, journal, rng, lease=LEASE) as site:
            site.server = server
            await strike_all(site, EVERYTHING, rounds=rounds, pause=PAUSE)
            await check(site.handles, journal, site.disturbances)


async def test_a_stream_that_loses_its_tail_again_and_again_loses_no_run(
    postgres_url: str, redis_url: str, tmp_path: Path, rng: random.Random, rounds: int
) -> None:
    journal = tmp_path / "journal"
    async with made(postgres_url, journal, rng, lease=LEASE, events=redis_url) as site:
        site.cut_log = partial(cut_log, redis_url, rng)
        await strike_all(site, EVENTS_APART, rounds=rounds, pause=PAUSE)
        await check(site.handles, journal, site.disturbances)


def cut_log(url: str, rng: random.Random) -> None:
    """Remove the last events of each stream, or all. The next events get their offsets."""
    where = urlsplit(url)
    client: Any  # the driver has few types
    with driver.Redis(
        host=str(where.hostname), port=where.port or 0, db=int(where.path[1:])
    ) as client:
        for key in client.scan_iter("*stream:*"):
            events = client.xrange(key)
            kept = events[: max(0, len(events) - rng.choice([1, 3, len(events)]))]
            with client.pipeline(transaction=True) as change:
                change.delete(key)
                for event_id, fields in kept:
                    change.xadd(key, fields, id=event_id)
                change.execute()


# --- checks of the runs ---------------------------------------------------------------------------


async def check(
    handles: Sequence[Handle[Chore, ChoreStatus]],
    journal: Path,
    disturbances: Sequence[Disturbance],
) -> None:
    """Check that each run ends, with no more executions than the disturbances explain."""
    for first in range(0, len(handles), AT_ONCE):
        await asyncio.gather(
            *(handle.wait(timeout=PATIENCE) for handle in handles[first : first + AT_ONCE])
        )
    executions = read_executions(journal)
    for first in range(0, len(handles), AT_ONCE):
        await asyncio.gather(
            *(
                check_run(handle, executions, disturbances)
                for handle in handles[first : first + AT_ONCE]
            )
        )


async def check_run(
    handle: Handle[Chore, ChoreStatus], executions: Executions, disturbances: Sequence[Disturbance]
) -> None:
    run = await handle.get()
    history = await handle.history()
    causes = [entry.cause for entry in history]
    assert (run.run_state, run.status) == (RunState.COMPLETED, ChoreStatus.DONE), describe(history)
    assert [entry.version for entry in history] == list(range(1, run.version + 1))
    assert set(causes) <= {Cause.TRIGGER, *EXECUTED, *COUNTED}, describe(history)
    assert causes.count(Cause.STEP) == 2, describe(history)
    assert causes.count(Cause.RETRY) <= int(run.data.fails), describe(history)
    kills = [
        item
        for item in disturbances
        if item.fault in KILLS and item.begin < history[-1].at.timestamp()
    ]
    assert kills or not set(causes) & set(COUNTED), describe(history)
    for status in (ChoreStatus.NEW, ChoreStatus.BEGUN):
        times = executions[run.foreign_id, status.name]
        excused = [item for item in disturbances if item.begin < times[-1] and times[0] < item.end]
        again = len(times) - count_ends(history, status)
        assert 0 <= again <= len(excused), (
            f"{status.name} was executed at {times}: {describe(history)}"
        )


def count_ends(history: Sequence[Entry[Chore, ChoreStatus]], status: ChoreStatus) -> int:
    """Count the executions of a status's step that have ended, by the history."""
    return sum(
        before.status is status and entry.cause in EXECUTED for before, entry in pairwise(history)
    )
