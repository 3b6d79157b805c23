"""The text of `workflow-ray status`: what it says first, and that it fits 80 columns."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.cli import output, tables
from workflow_ray.cli.status_text import print_report
from workflow_ray.cli.status_views import FailureView, LogsView, Report, RoleView, StatusView

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
RECORDS = "sqlite:////srv/shop/workflow.db"
STATUS = StatusView(
    status="orders.CREATED",
    number=1,
    shards=2,
    running=1,
    backlog=1_234_567,
    in_flight=100,
    lag=12,
    paused=3,
    next_retry_at=NOW + timedelta(seconds=12.3),
    held_back=0,
    held_back_because=None,
    last_failure=FailureView(
        at=NOW - timedelta(minutes=5),
        reason="ValueError: no card \x1b[2J" + "x" * 100,
        run_id="r",
        foreign_id="order-1",
        is_final=True,
    ),
)
ROLE = RoleView(
    name="orders-1-consumer-1-of-2",
    status="orders.CREATED",
    shard=1,
    phase="running",
    host="web-1",
    pid=4242,
    since=NOW - timedelta(hours=3),
    in_flight=100,
    failures=0,
)
CRASHED = RoleView(
    name="orders-1-consumer-2-of-2",
    status="orders.CREATED",
    shard=2,
    phase="waiting",
    host="web-1",
    pid=4242,
    failures=3,
    why="NotImportable: orders: found no module 'shop'",
)


def report(**fields: Any) -> Report:
    whole: dict[str, Any] = {
        "records": RECORDS,
        "events": RECORDS,
        "state": "running",
        "runs_on": "local",
        "at": NOW,
        "statuses": [STATUS],
        "roles": [ROLE, CRASHED],
        "logs": LogsView(where="stderr"),
    }
    return Report(**(whole | fields))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    def print_it(shown: Report) -> str:
        print_report(shown)
        return capsys.readouterr().out

    return print_it


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Process 4242 on web-1 runs orders on"),
        ({"runs_on": "ray"}, "Ray runs orders on"),
        ({"state": "stopped", "runs_on": None}, f"Nothing runs on {RECORDS}. Deployed: orders."),
        (
            {"state": "empty", "runs_on": None, "statuses": [], "roles": []},
            f"Nothing is deployed on {RECORDS}.",
        ),
    ],
)
def test_the_first_line_says_what_runs_and_where(
    printed: Any, fields: dict[str, Any], says: str
) -> None:
    assert says in printed(report(**fields)).splitlines()[0]


def test_it_shows_names_backlog_the_next_retry_the_last_failure_and_why_a_role_waits(
    printed: Any,
) -> None:
    text = printed(report())
    for shown in (
        "orders.CREATED",
        "1/2",
        "1234567",
        "in 12 s",
        "5 min ago",
        "order-1",
        "ValueError: no card",
        "4242 on web-1",
        "3 h ago",
        "3 crashes: NotImportable",
        "standard error",
    ):
        assert shown in text
    assert "\x1b" not in text


def test_a_process_that_runs_all_roles_is_said_in_one_line(printed: Any) -> None:
    assert "Every role runs in it (1)." in printed(report(roles=[ROLE]))


def test_a_role_with_functions_that_run_on_after_their_time_limit_is_shown(printed: Any) -> None:
    text = printed(report(roles=[replace(ROLE, abandoned=2)]))
    assert "2 functions run on after their time limit" in text


def test_a_circuit_breaker_is_shown_with_the_runs_that_it_holds_back(printed: Any) -> None:
    why = "the circuit breaker of charge is open: 12 of 20 attempts failed; next try in 30 s"
    held = replace(STATUS, held_back=7, held_back_because=why)
    text = printed(report(statuses=[held], roles=[replace(ROLE, breaker=why)]))
    assert re.search(rf"orders.CREATED +7 +{why}", text)
    assert re.search(rf"orders-1-consumer-1-of-2 .+{why}", text)


def test_what_retention_has_removed_is_said(printed: Any) -> None:
    data = replace(ROLE, name="orders-data", removed={"completed": 12_345, "history": 1, "keys": 2})
    text = printed(report(roles=[ROLE, data]))
    assert (
        "Retention: orders-data has removed 12,345 completed runs, 1 histories, 2 keys"
        " since it began."
    ) in text
    assert "Every role runs in it (2)." in text
    assert "Retention" not in printed(report(roles=[ROLE]))


def test_it_says_where_the_logs_on_ray_are(printed: Any) -> None:
    logs = LogsView(where="files", folder="/home/shop/.workflow_ray/logs/n")
    text = printed(report(runs_on="ray", logs=logs))
    assert "workflow-ray logs" in text
    assert "/home/shop/.workflow_ray/logs/n" in text


def test_it_fits_a_terminal_of_80_columns(printed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (output, tables):
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(report()).splitlines()
    # a long path or reason wraps, as everything does that a terminal gets
    assert [line for line in lines[2:] if len(line) > 80] == []


def test_every_field_of_the_json_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    table = page[page.index("| `records`, `events` |") :].partition("\n\n")[0]
    documented = set(re.findall(r"`\.?([a-z_]+)(?:\[\])?`", table))
    views = (Report, StatusView, RoleView, FailureView, LogsView)
    fields = {field for view in views for field in view.__struct_fields__}
    assert fields - documented == set()
