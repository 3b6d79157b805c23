"""`workflow-ray schedules` shows schedules and controls them, beside the worker that runs them."""

import os
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.end_to_end.conftest import ROOT, CommandLine, interrupt

STOCKS = "tests.end_to_end.stocks:stocks"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Generator[CommandLine]:
    """The command line beside a worker that has begun to run the schedules."""
    folder = tmp_path_factory.mktemp("stocks")
    records = f"sqlite:///{folder}/records.db"
    home = {"WORKFLOW_RAY_RECORDS": records, "WORKFLOW_RAY_HOME": str(folder / "home")}
    cli = CommandLine(records, {**os.environ, **home})
    worker = cli.start("worker", STOCKS)
    try:
        until(lambda: one(cli, "often")["last_tick"])
        yield cli
    finally:
        interrupt(worker)


def until(is_true: Callable[[], object]) -> None:
    """Ask the command line until it is true. It takes a while each time."""
    ends = datetime.now(UTC) + timedelta(seconds=60)
    while not is_true():
        assert datetime.now(UTC) < ends, "it has not become true"


def listed(cli: CommandLine) -> list[Any]:
    """The schedules; none before the worker has made the store."""
    done = cli.shell("", "schedules", "list", "--json")
    return msgspec.json.decode(done.stdout) if done.returncode == 0 else []


def one(cli: CommandLine, name: str) -> dict[str, Any]:
    return next((each for each in listed(cli) if each["schedule"] == name), {"last_tick": None})


def test_the_list_tells_last_and_next_ticks(deployed: CommandLine) -> None:
    nightly = one(deployed, "nightly")
    assert nightly["cron"] == "30 2 * * *"
    assert nightly["timezone"] == "Europe/Berlin"
    assert (nightly["every"], nightly["last_tick"], nightly["paused"]) == (None, None, False)
    assert datetime.fromisoformat(nightly["next_tick"]) > datetime.now(UTC)
    assert one(deployed, "often")["every"] == 0.5
    first, *rows = deployed("schedules", "list", "stocks").stdout.splitlines()
    assert first.split() == [
        "schedule", "workflow", "cron", "every", "timezone", "paused", "last_tick", "next_tick",
    ]  # fmt: skip
    assert [row.split()[:2] for row in rows] == [["often", "stocks"], ["nightly", "stocks"]]


def test_a_schedule_is_paused_and_resumed(deployed: CommandLine) -> None:
    said = deployed("schedules", "pause", "stocks", "often").stdout
    assert said == "stocks: schedule often is paused.\n"
    paused = one(deployed, "often")
    assert (paused["paused"], paused["next_tick"]) == (True, None)
    assert deployed.json("schedules", "pause", "stocks", "often") == {
        "workflow": "stocks",
        "schedule": "often",
        "paused": True,
        "changed": False,
    }
    assert one(deployed, "often")["last_tick"] == paused["last_tick"]
    assert deployed.json("schedules", "resume", "stocks", "often")["changed"]
    until(lambda: one(deployed, "often")["last_tick"] > paused["last_tick"])


def test_a_run_is_triggered_by_hand(deployed: CommandLine) -> None:
    triggered = deployed.json("schedules", "trigger", "stocks", "nightly")
    assert triggered["foreign_id"].startswith("nightly-2")
    (run,) = deployed.json("runs", "list", "--foreign-id", triggered["foreign_id"])
    assert run["run_id"] == triggered["run_id"]
    assert "has started" in deployed("schedules", "trigger", "stocks", "nightly").stdout


def test_a_backfill_starts_the_ticks_of_an_interval_once(deployed: CommandLine) -> None:
    interval = ("--from", "2026-10-24T00:00+02:00", "--to", "2026-10-27T00:00+01:00")
    said = deployed("schedules", "backfill", "stocks", "nightly", *interval).stdout
    assert said == "stocks: 3 runs have started.\n"
    again = deployed.json("schedules", "backfill", "stocks", "nightly", *interval)
    assert again == {
        "workflow": "stocks",
        "schedule": "nightly",
        "started": 0,
        "known": 3,
        "active": 0,
    }
    (run,) = deployed.json("runs", "list", "--foreign-id", "nightly-2026-10-25T00:30:00Z")
    assert run["workflow"] == "stocks"


def test_what_can_not_be_is_refused_in_one_line(deployed: CommandLine) -> None:
    for arguments, said in {
        ("pause", "stocks", "weekly"): "has no schedule 'weekly' (it has: nightly, often)",
        ("trigger", "stocks", "weekly"): "has no schedule 'weekly'",
        ("resume", "shop", "often"): "workflow 'shop' is not deployed here",
        ("backfill", "stocks", "often", "--from", "soon", "--to", "later"): "is not a time",
        (
            "backfill", "stocks", "often", "--from", "2026-01-01", "--to", "2026-01-02",
        ): "has no timezone",
        (
            "backfill", "stocks", "often", "--from", "2026-01-01T00Z", "--to", "2199-01-02T00Z",
        ): "is in the future",
    }.items():  # fmt: skip
        refused = deployed("schedules", *arguments, expect=2).stderr
        assert said in refused
        assert len(refused.splitlines()) == 1


def test_a_schedule_is_paused_without_its_code(tmp_path: Path, cli: CommandLine) -> None:
    module = tmp_path / "depot.py"
    module.write_text((ROOT / "tests" / "end_to_end" / "stocks.py").read_text())
    path = f"{tmp_path}:{cli.environment.get('PYTHONPATH', '')}"
    there = CommandLine(cli.records, {**cli.environment, "PYTHONPATH": path})
    worker = there.start("worker", "depot:stocks")
    until(lambda: one(there, "often")["last_tick"])
    interrupt(worker)
    module.unlink()
    assert "is paused" in cli("schedules", "pause", "stocks", "often").stdout
    assert "Put it back" in cli("schedules", "list", expect=2).stderr
