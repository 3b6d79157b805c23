"""Threads share a synchronous client while the worker that runs the steps is killed."""

import signal
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.errands import Errand, ErrandStatus, errands
from workflow_ray import RunState, TriggerOutcome
from workflow_ray.sync import Client, connect

REFERENCE = "tests.end_to_end.errands:errands"
THREADS = 20
RUNS = 200
PATIENCE = 90


@contextmanager
def worker(cli: CommandLine, records: str) -> Generator[subprocess.Popen[str]]:
    """Start a worker, and wait until it runs. Kills it at the end."""
    process = cli.start("worker", REFERENCE, "--records", records)
    try:
        assert process.stderr is not None
        assert "running errands on " in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def records(
    request: pytest.FixtureRequest, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setenv("WORKFLOW_RAY_HOME", cli.environment["WORKFLOW_RAY_HOME"])
    if request.param == "sqlite":
        return cli.records
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.mark.timeout(180)
def test_each_thread_gets_its_runs_although_the_worker_is_killed(
    cli: CommandLine, records: str
) -> None:
    some_ended = Event()

    def order(client: Client[Errand, ErrandStatus], number: int) -> str:
        key = f"errand-{number}"
        handle = client.trigger(key, Errand(seconds=0.01), idempotency_key=key)
        run = handle.wait(timeout=PATIENCE, through_errors=True)
        if number > RUNS / 4:
            some_ended.set()
        assert (run.foreign_id, run.run_state) == (key, RunState.COMPLETED)
        return run.run_id

    with (
        worker(cli, records) as first,
        connect(errands, records=records) as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        ordered = [pool.submit(order, client, number) for number in range(RUNS)]
        assert some_ended.wait(PATIENCE)
        first.send_signal(signal.SIGKILL)
        first.wait()
        with worker(cli, records):
            run_ids = [each.result(PATIENCE) for each in ordered]
            assert len(set(run_ids)) == RUNS
            assert {run.run_id for run in client.runs(page_size=50)} == set(run_ids)
            for number, run_id in enumerate(run_ids):
                key = f"errand-{number}"
                again = client.trigger(key, Errand(seconds=0.01), idempotency_key=key)
                assert (again.outcome, again.run_id) == (TriggerOutcome.KNOWN, run_id)
                versions = [entry.version for entry in again.history()]
                assert versions == list(range(1, len(versions) + 1))
