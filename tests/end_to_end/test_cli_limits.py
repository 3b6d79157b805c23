"""`workflow-ray limits` shows the limits of flow control and sets them, beside the worker."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.end_to_end.conftest import CommandLine, interrupt
from tests.end_to_end.test_cli_schedules import until

DELIVERIES = "tests.end_to_end.deliveries:deliveries"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """The command line beside a worker."""
    folder: Path = tmp_path_factory.mktemp("deliveries")
    records = f"sqlite:///{folder}/records.db"
    home = {"WORKFLOW_RAY_RECORDS": records, "WORKFLOW_RAY_HOME": str(folder / "home")}
    cli = CommandLine(records, {**os.environ, **home})
    worker = cli.start("worker", DELIVERIES)
    try:
        until(lambda: listed(cli))
        yield cli
    finally:
        interrupt(worker)


def listed(cli: CommandLine) -> list[Any]:
    """The limits; none before the worker has made the store."""
    done = cli.shell("", "limits", "list", "--json")
    return msgspec.json.decode(done.stdout) if done.returncode == 0 else []


def test_the_list_tells_each_status_with_flow_control(deployed: CommandLine) -> None:
    queued, loaded = listed(deployed)
    assert (queued["workflow"], queued["status"]) == ("deliveries", "QUEUED")
    assert (queued["concurrency"], queued["concurrency_per_key"]) == (6, 3)
    assert (queued["rate"], queued["admitted"], queued["waiting"]) == (None, 0, 0)
    assert (loaded["status"], loaded["rate"]) == ("LOADED", "12 in 2 s")
    first, *_ = deployed("limits", "list", "deliveries").stdout.splitlines()
    assert first.split() == [
        "workflow", "status", "concurrency", "concurrency_per_key", "rate", "rate_per_key",
        "set_by_operator", "admitted", "waiting",
    ]  # fmt: skip


def test_limits_are_set_and_reset(deployed: CommandLine) -> None:
    arguments = ("deliveries", "QUEUED")
    done = deployed("limits", "set", *arguments, "--concurrency", "9", "--rate-per-key", "5/0.5")
    assert done.stdout == (
        "deliveries: QUEUED has concurrency 9, concurrency per key 3, rate per key 5 in 0.5 s"
        " (set by an operator).\n"
    )
    changed = deployed.json("limits", "set", *arguments, "--concurrency", "unlimited")
    assert (changed["concurrency"], changed["rate_per_key"]) == (None, "5 in 0.5 s")
    assert changed["set_by_operator"] is True
    assert listed(deployed)[0] == changed
    reset = deployed.json("limits", "reset", *arguments)
    assert (reset["concurrency"], reset["rate_per_key"], reset["set_by_operator"]) == (
        6,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "deliveries", "QUEUED"), "limits: give one at least, e.g. --concurrency 10"),
        (("set", "deliveries", "QUEUED", "--rate", "ten"), "--rate: write runs and seconds"),
        (("set", "deliveries", "LOADED", "--concurrency-per-key", "1"), "of LOADED has no key"),
        (("set", "deliveries", "SENT", "--concurrency", "1"), "no flow control at SENT"),
    ],
)
def test_what_cannot_be_set_is_refused(
    deployed: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    assert message in deployed("limits", *arguments, expect=2).stderr
