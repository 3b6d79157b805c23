"""Callbacks are answered and timeouts fire once, whatever becomes of the process that runs them."""

import asyncio
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.end_to_end import pledges
from tests.end_to_end.gate import held
from tests.end_to_end.pledges import Pledge, PledgeStatus, Promise, keep
from tests.end_to_end.workers import WorkerProcess, until, worker_of, workers
from workflow_ray import Client, Handle, Run, Trigger, connect
from workflow_ray.errors import CallbackTooLate, RunFinished
from workflow_ray.records import Cause

LEASE = 2.0
PLEDGES = "tests.end_to_end.pledges"
SLOW = Promise(text="slow", slow=True)
pytestmark = pytest.mark.timeout(180)
Pledges = Client[Pledge, PledgeStatus]


def count(journal: Path, what: str) -> int:
    return sum(line[0] == what for line in pledges.noted(journal))


def processes(journal: Path, what: str) -> set[int]:
    """The processes that have noted this."""
    return {int(line[2]) for line in pledges.noted(journal) if line[0] == what}


def process_of(journal: Path, some: list[WorkerProcess]) -> WorkerProcess:
    """The worker that has noted the last line."""
    return worker_of(int(pledges.noted(journal)[-1][2]), some)


async def call_slowly(client: Pledges, journal: Path) -> "asyncio.Task[Run[Pledge, PledgeStatus]]":
    """Begin a call whose function does not end before `held` is removed."""
    held(journal).touch()
    await client.trigger("one", Pledge())
    call = asyncio.create_task(client.callback(keep, "one", SLOW, idempotency_key="k"))
    await until(lambda: count(journal, "begun"))
    return call


async def check_kept(client: Pledges, run: Run[Pledge, PledgeStatus]) -> None:
    """Check that the callback has made one version, and that its key gets the same answer."""
    assert (run.status, run.data.kept, run.version) == (PledgeStatus.KEPT, "slow", 2)
    history = await client.handle(run.run_id).history()
    assert [(entry.cause, entry.callback) for entry in history] == [
        (Cause.TRIGGER, None),
        (Cause.CALLBACK, None),
    ]
    again = await client.callback(keep, "one", SLOW, idempotency_key="k")
    assert (again.run_id, again.version) == (run.run_id, run.version)
    with pytest.raises(RunFinished):
        await client.callback(keep, "one", Promise(text="late"))


async def test_a_callback_whose_worker_is_killed_is_answered_by_the_next_one(
    tmp_path: Path,
) -> None:
    url, journal = f"sqlite:///{tmp_path}/pledges.db", tmp_path / "journal"
    async with (
        workers(1, journal, LEASE, url, module=PLEDGES) as (worker,),
        connect(pledges.pledges, records=url) as client,
    ):
        call = await call_slowly(client, journal)
        await worker.kill()
        held(journal).unlink()
        await worker.start()
        await check_kept(client, await call)
        assert count(journal, "done") == 1


async def test_a_caller_that_gives_up_gets_the_answer_later_by_its_key(tmp_path: Path) -> None:
    url, journal = f"sqlite:///{tmp_path}/pledges.db", tmp_path / "journal"
    async with workers(1, journal, LEASE, url, module=PLEDGES):
        async with connect(pledges.pledges, records=url) as client:
            call = await call_slowly(client, journal)
            call.cancel()
            held(journal).unlink()
            await client.handle((await client.latest("one")).run_id).wait(timeout=30)
        async with connect(pledges.pledges, records=url) as client:
            run = await client.callback(keep, "one", SLOW, idempotency_key="k")
            await check_kept(client, run)
        assert count(journal, "done") == 1


async def test_of_a_process_that_was_stopped_and_its_successor_one_answers(
    postgres_url: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, LEASE, postgres_url, module=PLEDGES) as pair,
        connect(pledges.pledges, records=postgres_url) as client,
    ):
        call = await call_slowly(client, journal)
        stopped = process_of(journal, pair)
        stopped.freeze()
        await until(lambda: len(processes(journal, "begun")) == 2)  # the other has the role now
        held(journal).unlink()
        run = await call
        stopped.send(signal.SIGCONT)
        await until(lambda: len(processes(journal, "done")) == 2)
        await check_kept(client, run)


async def test_of_callers_from_everywhere_one_wins(postgres_url: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, LEASE, postgres_url, module=PLEDGES),
        connect(pledges.pledges, records=postgres_url) as client,
    ):
        await client.trigger("one", Pledge())
        calls = [client.callback(keep, "one", Promise(text=str(number))) for number in range(50)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        kinds = Counter(type(answer) for answer in answers)
        assert kinds[Run] == 1
        assert kinds[CallbackTooLate] + kinds[RunFinished] == 49
        assert (await client.latest("one")).version == 2


# --- timeouts ----------------------------------------------------------------------------------


async def dated(client: Pledges) -> list[Handle[Pledge, PledgeStatus]]:
    triggers = [Trigger(f"t{number}", Pledge(), PledgeStatus.DATED) for number in range(100)]
    return [handle for handle, _ in await client.trigger_many(triggers)]


async def check_expired(handles: list[Handle[Pledge, PledgeStatus]]) -> None:
    """Check that the timeout of each run has made one version."""
    for handle in handles:
        run = await handle.wait(timeout=timedelta(seconds=60))
        assert run.status is PledgeStatus.EXPIRED
        assert [entry.cause for entry in await handle.history()] == [Cause.TRIGGER, Cause.TIMEOUT]


async def test_timeouts_fire_once_although_their_worker_is_killed(tmp_path: Path) -> None:
    url, journal = f"sqlite:///{tmp_path}/pledges.db", tmp_path / "journal"
    async with (
        workers(1, journal, LEASE, url, module=PLEDGES) as (worker,),
        connect(pledges.pledges, records=url) as client,
    ):
        handles = await dated(client)
        await until(lambda: count(journal, "expired") >= 1)
        await worker.kill()
        await worker.start()
        await check_expired(handles)


async def test_timeouts_fire_once_although_their_process_was_stopped_and_goes_on(
    postgres_url: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    async with (
        workers(2, journal, LEASE, postgres_url, module=PLEDGES) as pair,
        connect(pledges.pledges, records=postgres_url) as client,
    ):
        handles = await dated(client)
        await until(lambda: count(journal, "expired") >= 1)
        stopped = process_of(journal, pair)
        stopped.freeze()
        await check_expired(handles)
        stopped.send(signal.SIGCONT)
        await check_expired(handles)
