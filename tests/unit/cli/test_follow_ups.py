"""The commands that a job's report proposes can be pasted into a shell, and hold no password."""

import shlex
from typing import Any

import pytest
from typer.testing import CliRunner

from workflow_ray.cli.app import app
from workflow_ray.cli.follow_ups import list_follow_ups
from workflow_ray.cli.report import Report
from workflow_ray.runtime.urls import RECORDS, place_of

ODD = 'sqlite:////tmp/it\'s $HOME `id` "x".db'


def report(**changed: Any) -> Report:
    values: dict[str, Any] = {
        "workflow": "o'r $d",
        "runtime": "local",
        "records": "sqlite:////tmp/a.db",
        "events": "",
        "timeouts": "",
        "input": "-",
        "started": 3,
        "known": 0,
        "refused": [],
        "paused": 3,
        "failed": 1,
        "runs": {},
        "transitions": 0,
        "seconds": 0.0,
        "transitions_per_second": None,
        "p50_ms": None,
        "p99_ms": None,
    }
    return Report(**{**values, **changed})


def commands(given: str | None, **changed: Any) -> list[list[str]]:
    """Return the arguments that a shell makes of the commands, without the program's name."""
    found = list_follow_ups(report(**changed), "some-run", given)
    return [shlex.split(each.command)[1:] for each in found if each.command]


@pytest.fixture(autouse=True)
def no_records_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RECORDS, raising=False)


def test_odd_names_and_urls_are_quoted() -> None:
    for arguments in commands(ODD, records=place_of(ODD)):
        assert arguments[-2:] == ["--records", place_of(ODD)]
    assert ["runs", "list", "o'r $d", "--failed"] in [
        arguments[:-2] for arguments in commands(ODD, records=place_of(ODD))
    ]


def test_each_command_exists() -> None:
    for runtime in ("ray", "local"):
        for arguments in commands(None, runtime=runtime):
            # --help after all the others: they must be known before it is answered
            assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


def test_the_records_are_not_named_where_the_environment_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(RECORDS, "postgresql://me:secret@db/shop")
    for arguments in commands(None, records="postgresql://db/shop"):
        assert "--records" not in arguments
    for arguments in commands("sqlite:////tmp/a.db", records="sqlite:////tmp/a.db"):
        assert arguments[-2:] == ["--records", "sqlite:////tmp/a.db"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@db/shop",
        "postgresql://db/shop?password=secret",
        "postgresql://me:sec/ret@db/shop",
        "postgresql://me:sec@ret@db/shop",
        "postgresql://me@secret@db/shop",
    ],
)
def test_a_url_that_may_hold_a_password_is_not_printed(url: str) -> None:
    found = list_follow_ups(report(records="postgresql://db/shop"), "some-run", url)
    assert "secret" not in str(found)
    assert "sec" not in str(found)
    assert found[0].purpose.startswith(f"Set {RECORDS} first")


@pytest.mark.parametrize("url", ["postgresql://me@db:5432/shop", "postgresql://db/shop"])
def test_a_server_without_a_password_is_named_as_it_was_given(url: str) -> None:
    for arguments in commands(url, records="postgresql://db/shop"):
        assert arguments[-2:] == ["--records", url]


def test_the_example_is_a_run_that_can_be_looked_at() -> None:
    assert ["runs", "history", "some-run"] in [
        arguments[:3] for arguments in commands("sqlite:////tmp/a.db")
    ]
