"""`workflow-ray worker` finishes running steps after a signal, and counts no attempt."""

import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.errands import Errand, ErrandStatus, errands
from workflow_ray import Cause, Handle, connect

REFERENCE = "tests.end_to_end.errands:errands"
ABANDONED = 7


@pytest.fixture
def cli(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Share the home with this process, so that a client here finds the worker."""
    monkeypatch.setenv("WORKFLOW_RAY_HOME", cli.environment["WORKFLOW_RAY_HOME"])
    return cli


@contextmanager
def worker(cli: CommandLine, *options: str) -> Generator[subprocess.Popen[str]]:
    """Start a worker, and wait until it runs. Kills it at the end, if it still lives."""
    process = cli.start("worker", REFERENCE, *options)
    try:
        assert process.stderr is not None
        assert "running errands on sqlite://" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


async def trigger(
    cli: CommandLine, process: subprocess.Popen[str], seconds: float
) -> Handle[Errand, ErrandStatus]:
    """Trigger a run, and wait until its step has begun."""
    async with connect(errands, records=cli.records) as client:
        handle = await client.trigger("e", Errand(seconds=seconds), if_active="join")
    assert process.stdout is not None
    assert process.stdout.readline() == "began e\n"
    return handle


async def causes(cli: CommandLine) -> list[Cause]:
    async with connect(errands, records=cli.records) as client:
        run = await client.latest("e")
        return [entry.cause for entry in await client.handle(run.run_id).history()]


def test_down_says_that_a_worker_goes_on_and_how_it_is_stopped(cli: CommandLine) -> None:
    with worker(cli) as process:
        said = cli("down").stdout
        assert said.startswith("Nothing ran on Ray for sqlite://")
        assert f"SIGTERM stops it: kill {process.pid}" in said
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_running_step_is_finished_after_the_first_signal(
    cli: CommandLine, number: signal.Signals
) -> None:
    with worker(cli) as process:
        await trigger(cli, process, 1.0)
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == 0
    assert f"{number.name}: finishing what runs, for up to 25 s" in said
    assert await causes(cli) == [Cause.TRIGGER, Cause.STEP]


async def test_a_step_that_runs_at_the_deadline_is_abandoned_and_run_again_by_the_next_worker(
    cli: CommandLine,
) -> None:
    with worker(cli, "--deadline", "0.5") as process:
        await trigger(cli, process, 2.0)
        process.terminate()
        _, said = process.communicate()
    assert process.returncode == ABANDONED
    assert "these roles did not finish in time" in said
    assert await causes(cli) == [Cause.TRIGGER]
    with worker(cli) as process:
        async with connect(errands, records=cli.records) as client:
            await client.handle((await client.latest("e")).run_id).wait()
    assert await causes(cli) == [Cause.TRIGGER, Cause.STEP]


@pytest.mark.timeout(120)
async def test_four_signals_during_one_step_of_nine_seconds_count_no_attempt(
    cli: CommandLine,
) -> None:
    for _ in range(2):
        with worker(cli) as process:
            await trigger(cli, process, 9.0)
            process.terminate()
            assert process.stderr is not None
            assert "SIGTERM: finishing what runs" in process.stderr.readline()
            for _ in range(3):
                process.terminate()
            process.communicate()
            # the last signals may arrive when all roles are released
            assert process.returncode in (ABANDONED, -signal.SIGTERM)
    with worker(cli) as process:
        async with connect(errands, records=cli.records) as client:
            run = await client.handle((await client.latest("e")).run_id).wait()
    assert (run.status, run.version) == (ErrandStatus.DONE, 2)
    assert await causes(cli) == [Cause.TRIGGER, Cause.STEP]


def test_a_worker_with_nothing_to_do_ends_at_once(cli: CommandLine) -> None:
    with worker(cli) as process:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


async def test_a_worker_whose_file_was_deleted_ends_and_says_so_once(cli: CommandLine) -> None:
    with worker(cli) as process:
        await trigger(cli, process, 0.5)
        path = Path(cli.records.removeprefix("sqlite:///"))
        path.rename(path.with_name("elsewhere.db"))
        _, said = process.communicate()
    assert process.returncode == 5
    assert said.count("the file was deleted or replaced while it was open") <= 7, said
    assert said.count("no role can run: ") == 1
    assert said.splitlines()[-1].startswith("workflow-ray: ")
    assert "Traceback" not in said
