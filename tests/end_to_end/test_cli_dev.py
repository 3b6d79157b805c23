"""`workflow-ray dev` prints transitions, and loads changed code without losing anything."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.end_to_end.conftest import ROOT, CommandLine, read_terminal
from tests.end_to_end.errands import Errand, ErrandStatus
from workflow_ray import Cause, Run, RunState, Workflow
from workflow_ray.sync import Client, connect

STARTING = "SIGTERM or Ctrl-C stops it."
WAITING = "Waiting for a change of the code."
PATIENCE = 60.0
MODULE = """\
import asyncio
from typing import Literal

from workflow_ray import Retry, Run, Status, Workflow
from tests.end_to_end.errands import Errand, ErrandStatus

errands = Workflow("errands", Errand, ErrandStatus)


@errands.step(ErrandStatus.NEW, retry=Retry(backoff=600))
async def go(run: Run[Errand, ErrandStatus]) -> Literal[ErrandStatus.DONE]:
    {body}
    return ErrandStatus.DONE
"""
DONE = MODULE.format(body="print('went', run.foreign_id)")
STUCK = MODULE.format(body="await asyncio.sleep(600)")
FAILING = MODULE.format(body="raise ValueError('no shoes', run.foreign_id)")
BROKEN = DONE + "\ndef (:\n"
IMPOSSIBLE = DONE.replace("step(ErrandStatus.NEW", "step(ErrandStatus.DONE")

errands = Workflow("errands", Errand, ErrandStatus)


@errands.step(ErrandStatus.NEW)
async def go(run: Run[Errand, ErrandStatus]) -> Literal[ErrandStatus.DONE]:
    return ErrandStatus.DONE


@dataclass
class Dev:
    """A `workflow-ray dev` on a module of the test's own."""

    cli: CommandLine
    folder: Path
    records: str

    def write(self, text: str) -> None:
        (self.folder / "shoes.py").write_text(text)

    @property
    def command(self) -> list[str]:
        command = [sys.executable, "-m", "workflow_ray.cli", "dev", "shoes:errands"]
        return [*command, "--records", self.records]

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
        return {**self.cli.environment, "PYTHONPATH": path}

    @contextmanager
    def running(self) -> Generator[subprocess.Popen[bytes]]:
        """Start it. At the end it is interrupted, unless it was killed."""
        self._said().write_bytes(b"")
        with self._said().open("ab") as output:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) in (0, -signal.SIGKILL), self.said
        finally:
            process.kill()
            process.wait()

    def _said(self) -> Path:
        return self.folder / "said.txt"

    @property
    def said(self) -> str:
        return self._said().read_text()

    def wait_for(self, pattern: str, *, times: int = 1) -> list[str]:
        """Wait until it has printed lines that a pattern fits."""
        deadline = time.monotonic() + PATIENCE
        while len(found := re.findall(pattern, self.said, re.MULTILINE)) < times:
            assert time.monotonic() < deadline, f"{pattern} is not in:\n{self.said}"
            time.sleep(0.02)
        return found

    @contextmanager
    def client(self) -> Generator[Client[Errand, ErrandStatus]]:
        with connect(errands, records=self.records) as client:
            yield client


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def dev(
    request: pytest.FixtureRequest,
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Dev:
    monkeypatch.setenv("WORKFLOW_RAY_HOME", cli.environment["WORKFLOW_RAY_HOME"])
    url = cli.records if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    folder = tmp_path / "shop"
    folder.mkdir()
    dev = Dev(cli, folder, url)
    dev.write(DONE)
    return dev


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.02)


@pytest.mark.timeout(180)
def test_transitions_are_printed_and_a_run_goes_on_with_the_changed_code(dev: Dev) -> None:
    dev.write(STUCK)
    with dev.running():
        dev.wait_for(STARTING)
        with dev.client() as client:
            first = client.trigger("first", Errand(seconds=0))
        dev.wait_for(rf"  errands first  NEW  run {first.run_id}$")
        dev.write(BROKEN)
        dev.wait_for("shoes changed: loading the code again")
        dev.wait_for(r"^workflow-ray: shoes:errands: importing shoes raised SyntaxError: ")
        dev.wait_for(WAITING)
        dev.write(IMPOSSIBLE)
        dev.wait_for("workflow 'errands' has 2 mistakes|workflow 'errands' has 1 mistake")
        dev.wait_for(WAITING, times=2)
        dev.write(DONE)
        dev.wait_for(STARTING, times=2)
        dev.wait_for(r"^went first$")
        dev.wait_for(r"  errands first  NEW -> DONE  [\d.]+ m?s  COMPLETED$")
        with dev.client() as client:
            causes = [entry.cause for entry in client.handle(first.run_id).history()]
            assert causes == [Cause.TRIGGER, Cause.STEP], "no attempt was counted"
            client.trigger("second", Errand(seconds=0)).wait(timeout=PATIENCE)
        dev.wait_for(r"  errands second  NEW -> DONE  ")
    assert "\x1b" not in dev.said
    assert "read again" not in dev.said
    assert len(re.findall("  errands first  ", dev.said)) == 2, "each version is printed once"


@pytest.mark.timeout(180)
def test_errors_are_one_line_and_an_edit_that_is_taken_back_is_loaded(dev: Dev) -> None:
    with dev.running():
        dev.wait_for(STARTING)
        dev.write(FAILING)
        dev.wait_for(STARTING, times=2)
        with dev.client() as client:
            handle = client.trigger("first", Errand(seconds=0))
            dev.wait_for(
                r"  errands first  NEW  \d+ ms  RETRY: ValueError: \('no shoes', 'first'\)$"
            )
            dev.write(DONE)
            dev.wait_for(STARTING, times=3)
            handle.retry()
            assert handle.wait(timeout=PATIENCE).run_state is RunState.COMPLETED


@pytest.mark.timeout(180)
def test_a_killed_process_is_noticed_and_the_next_change_goes_on(dev: Dev) -> None:
    dev.write(STUCK)
    with dev.running() as process:
        dev.wait_for(STARTING)
        with dev.client() as client:
            handle = client.trigger("first", Errand(seconds=0))
        dev.wait_for(r"  errands first  NEW  run ")
        (child,) = children(process.pid)
        os.kill(child, signal.SIGKILL)
        dev.wait_for(rf"The process has ended \(exit code -9\)\. {WAITING}")
        dev.write(DONE)
        dev.wait_for(STARTING, times=2)
        with dev.client() as client:
            run = client.handle(handle.run_id).wait(timeout=PATIENCE)
            assert run.run_state is RunState.COMPLETED
        dev.wait_for(r"  errands first  NEW -> DONE  ")


@pytest.mark.timeout(180)
def test_a_killed_command_leaves_no_process_and_the_next_one_goes_on(dev: Dev) -> None:
    with dev.running() as process:
        dev.wait_for(STARTING)
        (child,) = children(process.pid)
        process.kill()
        process.wait()
        wait_for_end(child)
    with dev.running():
        dev.wait_for(STARTING)
        with dev.client() as client:
            client.trigger("first", Errand(seconds=0)).wait(timeout=PATIENCE)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("dev", ["sqlite"], indirect=True)
def test_a_store_that_another_process_has_ends_the_command(dev: Dev) -> None:
    with dev.running():
        dev.wait_for(STARTING)
        second = subprocess.run(
            dev.command, cwd=dev.folder, env=dev.environment, capture_output=True, text=True
        )
        assert second.returncode == 5
        assert second.stderr.startswith("workflow-ray: ")


@pytest.mark.parametrize("dev", ["sqlite"], indirect=True)
def test_a_module_that_does_not_exist_is_refused(dev: Dev) -> None:
    command = [each.replace("shoes", "boots") for each in dev.command]
    done = subprocess.run(
        command, cwd=dev.folder, env=dev.environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("workflow-ray: boots:errands: found no such module")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dev", ["sqlite"], indirect=True)
@pytest.mark.parametrize("option", ["--records", "--events", "--timeouts"])
def test_a_url_without_an_adapter_is_refused(dev: Dev, option: str) -> None:
    done = subprocess.run(
        [*dev.command, option, "nats://broker"],
        cwd=dev.folder,
        env=dev.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("workflow-ray: no adapter for 'nats'.")
    assert done.stderr.count("\n") == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dev", ["sqlite"], indirect=True)
def test_on_a_terminal_transitions_have_colours_and_ctrl_c_ends_it(dev: Dev) -> None:
    cli = dev.cli
    arguments = ("dev", "tests.end_to_end.errands:errands", "--records", dev.records)
    with cli.start_on_terminal(100, *arguments) as (process, terminal):
        try:
            read_terminal(terminal, until="stops it.")
            with dev.client() as client:
                client.trigger("first", Errand(seconds=0)).wait(timeout=PATIENCE)
            assert "\x1b[32mNEW -> DONE\x1b[0m" in read_terminal(terminal, until="COMPLETED")
            process.send_signal(signal.SIGINT)
            read_terminal(terminal)
            assert process.wait(PATIENCE) == 0
        finally:
            process.terminate()
