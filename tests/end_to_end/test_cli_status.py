"""`workflow-ray status` and `logs`: they tell apart what runs, what does not, and what can't be
reached (U12); and what the steps logged is found, locally and on Ray (U13).
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.payments import DECLINED, FAILS, WAITS, Payment, PaymentStatus, payments
from workflow_ray import connect
from workflow_ray.ports import SystemClock
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.urls import Urls

REFERENCE = "tests.end_to_end.payments:payments"
PATIENCE = 60.0
FAILED = (
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING payments: run fails \([0-9a-f-]{36}\): step"
    r" charge failed \(attempt 1 of 5\): ConnectionError: the bank does not answer\. Retrying in"
    r" [\d.]+ s\."
)
DECLINED_LINE = (
    r" ERROR payments: run declined \([0-9a-f-]{36}\): step charge failed \(attempt 1 of 5\):"
    r" Fatal: the card was declined\. No attempt follows; the run is paused\."
)


@pytest.fixture
def cli(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Share the home with this process, so that a client here finds the worker."""
    monkeypatch.setenv("WORKFLOW_RAY_HOME", cli.environment["WORKFLOW_RAY_HOME"])
    return cli


@contextmanager
def worker(cli: CommandLine) -> Generator[subprocess.Popen[str]]:
    process = cli.start("worker", REFERENCE, "--deadline", "0.5")
    try:
        assert process.stderr is not None
        assert "running payments on" in process.stderr.readline()
        yield process
    finally:
        process.terminate()
        process.communicate()


async def trigger(records: str, *cards: str) -> None:
    async with connect(payments, records=records) as client:
        for card in cards:
            await client.trigger(card, Payment(card=card))


def status(cli: CommandLine, until: Callable[[Any], bool] = lambda _: True) -> Any:
    """The report, once it is as it should be."""
    end = time.monotonic() + PATIENCE
    while not until(report := cli.json("status")):
        assert time.monotonic() < end, report
    return report


def is_settled(report: Any) -> bool:
    """One run is in flight, one waits for a retry, and one is paused."""
    (due,) = report["statuses"]
    return (due["in_flight"], due["paused"]) == (1, 1) and due["next_retry_at"] is not None


# --- what does not run --------------------------------------------------------------------------


def test_records_that_are_missing_are_an_error_and_not_a_store_where_nothing_runs(
    cli: CommandLine,
) -> None:
    done = cli("status", expect=5)
    assert cli.records.removeprefix("sqlite:///") in done.stderr
    assert done.stdout == ""


def test_a_server_that_cannot_be_reached_is_an_error(cli: CommandLine) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/none"
        done = cli("status", "--records", url, expect=5)
    assert "127.0.0.1" in done.stderr


def test_a_store_without_workflows_has_nothing_deployed(cli: CommandLine) -> None:
    create(Urls.of(cli.records))
    report = cli.json("status")
    assert (report["state"], report["runs_on"], report["statuses"]) == ("empty", None, [])
    assert cli("status").stdout.startswith("Nothing is deployed on sqlite://")


async def test_a_process_that_cannot_be_asked_is_not_taken_for_nothing(cli: CommandLine) -> None:
    create(Urls.of(cli.records))
    async with open_store(Urls.of(cli.records), clock=SystemClock()):
        report = cli.json("status")
        assert (report["state"], report["runs_on"]) == ("running", "elsewhere")
        assert cli("status").stdout.startswith("A process that can't be asked from here has")


# --- local processes ----------------------------------------------------------------------------


async def test_a_local_process_its_roles_and_how_the_runs_fare_are_shown(cli: CommandLine) -> None:
    with worker(cli) as process:
        await trigger(cli.records, WAITS, FAILS, DECLINED)
        report = status(cli, is_settled)
        (due,) = report["statuses"]
        failure = due["last_failure"]
        assert (report["state"], report["runs_on"]) == ("running", "local")
        assert (due["status"], due["number"]) == ("payments.DUE", PaymentStatus.DUE.value)
        assert (due["shards"], due["running"], due["backlog"]) == (1, 1, 2)
        assert failure["reason"] in (
            "ConnectionError: the bank does not answer",
            "Fatal: the card was declined",
        )
        assert failure["at"] < report["at"] < due["next_retry_at"]
        assert {role["pid"] for role in report["roles"]} == {process.pid}
        assert report["logs"] == {"where": "stderr", "folder": ""}
        text = cli("status").stdout
        assert f"Process {process.pid} on {socket.gethostname()} runs payments" in text
        said = cli("logs").stderr
        assert f"{process.pid} on {socket.gethostname()}" in said
        assert len(said.splitlines()) == 1
        process.terminate()
        _, logged = process.communicate()
        assert re.search(FAILED, logged), "as on Ray"
        assert re.search(DECLINED_LINE, logged), "as on Ray"
    stopped = cli.json("status")
    assert (stopped["state"], stopped["runs_on"]) == ("stopped", None)
    assert "Nothing runs on sqlite://" in cli("status").stdout


@pytest.mark.timeout(180)
async def test_each_of_several_processes_on_a_server_is_shown_with_its_roles(
    cli: CommandLine, postgres_url: str
) -> None:
    cli = replace(cli, environment={**cli.environment, "WORKFLOW_RAY_RECORDS": postgres_url})
    with worker(cli) as first, worker(cli) as second:

        def is_shared(report: Any) -> bool:
            return {role["pid"] for role in report["roles"]} == {first.pid, second.pid}

        report = status(cli, is_shared)
        assert {role["phase"] for role in report["roles"]} == {"running"}
        assert (report["runs_on"], report["statuses"][0]["in_flight"]) == ("local", None)
        assert "2 processes run payments on" in cli("status").stdout
    assert status(cli)["state"] == "stopped"


# --- Ray ----------------------------------------------------------------------------------------


@pytest.fixture
def on_ray(cli: CommandLine) -> Iterator[CommandLine]:
    """The workflow is deployed on Ray."""
    cli("deploy", REFERENCE)
    yield cli
    cli("down")


@pytest.mark.ray
@pytest.mark.timeout(240)
async def test_on_ray_the_lines_are_the_same_and_outlive_the_process_that_wrote_them(
    on_ray: CommandLine,
) -> None:
    cli = on_ray
    await trigger(cli.records, WAITS, FAILS, DECLINED)
    report = status(cli, is_settled)
    assert (report["state"], report["runs_on"]) == ("running", "ray")
    (role,) = [one for one in report["roles"] if one["status"] == "payments.DUE"]
    assert (role["phase"], role["in_flight"], role["host"]) == ("running", 1, socket.gethostname())
    assert role["log"].startswith(report["logs"]["folder"])
    os.kill(role["pid"], signal.SIGKILL)
    lines = cli("logs", "payments-1").stdout
    assert re.search(FAILED, lines)
    assert re.search(DECLINED_LINE, lines)
    assert lines.count("Traceback (most recent call last)") == 1, "once per run, when it is final"
    by_status = cli("logs", "--workflow", "payments", "--status", "DUE", "--json").stdout
    entries = [msgspec.json.decode(line) for line in by_status.splitlines()]
    assert {entry["actor"] for entry in entries} == {"payments-1-consumer-1-of-1"}
    assert "no role or actor has this name" in cli("logs", "shipments", expect=2).stderr
