"""A tick has exactly one run, whatever becomes of the process that runs the schedule.

With one worker the store is SQLite. Two workers share servers: of the records, the events and the
timeouts.
"""

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.end_to_end import stocks
from tests.end_to_end.stocks import EVERY, Stock, StockStatus
from tests.end_to_end.workers import POLL, until, worker_of, workers
from workflow_ray import Client, Run, RunState, TriggerOutcome, connect
from workflow_ray.records import Cause
from workflow_ray.roles.scheduler import DEATHS

LEASE = 2.0
TICK = timedelta(seconds=EVERY)
STOCKS = "tests.end_to_end.stocks"
Stocks = Client[Stock, StockStatus]
pytestmark = pytest.mark.timeout(180)


class Journal:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal"

    def done(self, pid: int | None = None) -> set[datetime]:
        """The ticks whose function has come to its end, in one process or in any."""
        return {
            datetime.fromisoformat(tick)
            for what, tick, by in stocks.calls(self.path)
            if what == "done" and pid in (None, by)
        }

    async def more(self, count: int, pid: int | None = None) -> None:
        """Wait until the function has come to its end for more ticks."""
        before = len(self.done(pid))
        await until(lambda: len(self.done(pid)) >= before + count)

    async def in_call(self) -> int:
        """Wait until a call begins. Returns the process that makes it."""
        before = len(stocks.calls(self.path))

        def last_call() -> int | None:
            calls = stocks.calls(self.path)[before:]
            return calls[-1][2] if calls and calls[-1][0] == "begun" else None

        return await until(last_call)


async def runs_of(client: Stocks, journal: Journal) -> list[Run[Stock, StockStatus]]:
    """Wait until each tick whose function has come to its end has a run. Returns all runs.

    A call that has ended may not be committed yet, and it may be repeated by another worker.
    """
    done = journal.done()
    async with asyncio.timeout(60):
        while True:
            runs = [run async for run in client.runs() if is_often(run)]
            if done <= set(map(tick_of, runs)):
                return runs
            await asyncio.sleep(POLL)


async def check(client: Stocks, journal: Journal) -> None:
    """Check that the ticks have one run each and none is left out."""
    runs = await runs_of(client, journal)
    ticks = sorted(map(tick_of, runs))
    first = ticks[0]
    assert ticks == [first + number * TICK for number in range(len(ticks))]
    for run in runs:
        handle = client.handle(run.run_id)
        assert (await handle.wait(timeout=timedelta(seconds=30))).run_state is RunState.COMPLETED
        history = await handle.history()
        assert [entry.cause for entry in history] == [Cause.TRIGGER, Cause.STEP]
        assert run.data.tick == tick_of(run)


def is_often(run: Run[Stock, StockStatus]) -> bool:
    return run.foreign_id.startswith("often-")


def tick_of(run: Run[Stock, StockStatus]) -> datetime:
    return datetime.fromisoformat(run.foreign_id.removeprefix("often-"))


async def test_a_worker_that_is_killed_in_the_middle_of_a_tick_loses_none_and_repeats_none(
    tmp_path: Path,
) -> None:
    url, journal = f"sqlite:///{tmp_path}/stocks.db", Journal(tmp_path)
    async with workers(1, journal.path, LEASE, url, module=STOCKS) as (worker,):
        for _ in range(3):
            await journal.more(2)
            await journal.in_call()
            await worker.kill()
            await worker.start()
        await journal.more(3)
        async with connect(stocks.stocks, records=url) as client:
            await check(client, journal)


async def test_a_tick_whose_function_ends_its_process_is_skipped_after_three_times(
    tmp_path: Path,
) -> None:
    url, journal = f"sqlite:///{tmp_path}/stocks.db", Journal(tmp_path)
    async with workers(1, journal.path, LEASE, url, module=STOCKS) as (worker,):
        await journal.more(2)
        stocks.deadly(journal.path).touch()
        for _ in range(DEATHS):
            assert worker.process is not None
            async with asyncio.timeout(30):
                assert await worker.process.wait() == 9
            await worker.start()
        await journal.more(3)
        async with connect(stocks.stocks, records=url) as client:
            ticks = sorted(map(tick_of, await runs_of(client, journal)))
    skipped = datetime.fromisoformat(stocks.deadly(journal.path).read_text())
    begun = [tick for what, tick, _ in stocks.calls(journal.path) if what == "begun"]
    assert begun.count(skipped.isoformat()) == DEATHS
    first = ticks[0]
    assert sorted([*ticks, skipped]) == [first + n * TICK for n in range(len(ticks) + 1)]


async def test_ticks_that_many_callers_fill_in_at_once_have_one_run_each(
    urls: list[str], tmp_path: Path
) -> None:
    journal = Journal(tmp_path)
    async with (
        workers(2, journal.path, LEASE, *urls, module=STOCKS),
        connect(stocks.stocks, records=urls[0]) as client,
    ):
        await journal.more(3)
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        end = begin + timedelta(days=20)
        filled = await asyncio.gather(*(client.backfill("nightly", begin, end) for _ in range(50)))
        runs = [run async for run in client.runs() if run.foreign_id.startswith("nightly-2026-01")]
        assert len(runs) == 20
        outcomes = Counter(outcome for one in filled for _, outcome in one)
        assert outcomes == {TriggerOutcome.STARTED: 20, TriggerOutcome.KNOWN: 49 * 20}
        # those that have a run of the schedule itself
        last = max(map(tick_of, await runs_of(client, journal)))
        again = await client.backfill("often", last - 2 * TICK, last)
        assert {outcome for _, outcome in again} == {TriggerOutcome.KNOWN}
        await check(client, journal)


async def test_the_other_worker_goes_on_when_the_one_with_the_schedule_is_killed(
    urls: list[str], tmp_path: Path
) -> None:
    journal = Journal(tmp_path)
    async with (
        workers(2, journal.path, LEASE, *urls, module=STOCKS) as pair,
        connect(stocks.stocks, records=urls[0]) as client,
    ):
        for _ in range(2):
            await journal.more(2)
            worker = worker_of(await journal.in_call(), pair)
            await worker.kill()
            (other,) = [one for one in pair if one is not worker]
            assert other.process is not None
            await journal.more(3, other.process.pid)
            await worker.start()
        await check(client, journal)


async def test_a_worker_that_continues_after_another_took_its_schedule_over_starts_nothing_twice(
    urls: list[str], tmp_path: Path
) -> None:
    journal = Journal(tmp_path)
    async with (
        workers(2, journal.path, LEASE, *urls, module=STOCKS) as pair,
        connect(stocks.stocks, records=urls[0]) as client,
    ):
        await journal.more(2)
        stopped = worker_of(await journal.in_call(), pair)
        stopped.freeze()
        (other,) = [one for one in pair if one is not stopped]
        assert other.process is not None
        await journal.more(3, other.process.pid)
        stopped.send(signal.SIGCONT)
        await journal.more(4)
        await check(client, journal)
