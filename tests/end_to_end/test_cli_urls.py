"""`workflow-ray` works with every kind of URL, and prints one clear line where one can't be used.

It never prints a password.
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import CommandLine

PASSWORD = "pass-phrase"
WITHIN = 5.0
STARTING = 4.0  # seconds that Python may need to start on a busy machine
LETTERS = ("run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-")
LETTER = json.dumps({"foreign_id": "a", "data": {"to": "ann"}})


def refused(cli: CommandLine, *arguments: str, exit_code: int = 5) -> str:
    """Return the one line that a command prints, in time, without the password or a traceback."""
    began = time.monotonic()
    done = cli(*arguments, given=LETTER, expect=exit_code)
    assert time.monotonic() - began < WITHIN + STARTING
    *before, line = done.stderr.splitlines()
    assert before in ([], ["Starting letters."])
    assert line.startswith("workflow-ray: ")
    assert PASSWORD not in done.stdout + done.stderr
    return line


@pytest.fixture
def silent() -> Iterator[str]:
    """Listen on a port, and never answer. Yields the host and port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


# --- what can't be reached ----------------------------------------------------------------------

URLS = {
    "records": "postgresql://shop:{password}@{at}/shop",
    "events": "kafka://shop:{password}@{at}?mechanism=PLAIN",
    "timeouts": "redis://shop:{password}@{at}/0",
}


@pytest.mark.parametrize("what", URLS)
def test_a_closed_port_is_one_line(cli: CommandLine, what: str) -> None:
    assert "127.0.0.1:1" in refused(
        cli, *LETTERS, f"--{what}", URLS[what].format(password=PASSWORD, at="127.0.0.1:1")
    )


def test_a_silent_server_is_one_line_within_5_seconds(cli: CommandLine, silent: str) -> None:
    url = URLS["records"].format(password=PASSWORD, at=silent)
    for command in (LETTERS, ("runs", "list", "letters")):
        assert silent in refused(cli, *command, "--records", url)


def test_nothing_is_started_on_ray_for_what_cannot_be_reached(cli: CommandLine) -> None:
    refused(cli, "deploy", "tests.end_to_end.letters:letters", "--events", "kafka://127.0.0.1:1")
    assert cli.roles() == []


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", URLS)
def test_an_unknown_scheme_lists_the_known_ones_and_makes_nothing(
    cli: CommandLine, tmp_path: Path, what: str
) -> None:
    line = refused(cli, *LETTERS, f"--{what}", f"oracle://shop:{PASSWORD}@db/shop", exit_code=2)
    assert "no adapter for 'oracle'" in line
    assert "pip install 'workflow-ray[kafka]'" in line
    assert not (tmp_path / "records.db").exists()


def test_a_store_without_records_is_refused_for_records(cli: CommandLine) -> None:
    line = refused(cli, *LETTERS, "--records", "kafka://127.0.0.1:1", exit_code=2)
    assert line == "workflow-ray: kafka: it holds no records. Name another URL for the records."


@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
@pytest.mark.server
def test_a_missing_database_is_one_line(
    cli: CommandLine, request: pytest.FixtureRequest, server: str
) -> None:
    url: str = request.getfixturevalue(server)
    missing = f"{url.rpartition('/')[0]}/nowhere"
    for command in (LETTERS, ("runs", "list", "letters")):
        assert "nowhere" in refused(cli, *command, "--records", missing)


@pytest.mark.parametrize("server", ["mariadb_url", "redis_url"])
@pytest.mark.server
def test_a_wrong_password_is_one_line(
    cli: CommandLine, request: pytest.FixtureRequest, server: str
) -> None:
    url: str = request.getfixturevalue(server)
    scheme, _, rest = url.partition("://")
    wrong = f"{scheme}://root:{PASSWORD}@{rest.rpartition('@')[2]}"
    for command in (LETTERS, ("runs", "list", "letters")):
        assert "password" in refused(cli, *command, "--records", wrong)


# --- what works ---------------------------------------------------------------------------------


def test_events_and_timeouts_may_be_elsewhere_and_the_report_says_where(
    cli: CommandLine, tmp_path: Path
) -> None:
    places = {what: f"sqlite:///{tmp_path}/{what}.db" for what in ("events", "timeouts")}
    options = [part for what, url in places.items() for part in (f"--{what}", url)]
    said = cli(*LETTERS, *options, "--report", str(tmp_path / "report.json"), given=LETTER).stdout
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["runs"] == {"SENT": 1}
    assert {what: report[what] for what in ("records", "events", "timeouts")} == {
        "records": cli.records,
        **places,
    }
    assert f"{cli.records}, events on {places['events']}, timeouts on {places['timeouts']}" in said
    assert [run["status"] for run in cli.json("runs", "list", "letters")] == ["SENT"]


@pytest.mark.server
def test_no_password_is_printed(cli: CommandLine, postgres_url: str, tmp_path: Path) -> None:
    """The server of the tests accepts any password."""
    with_password = postgres_url.replace("postgres@", f"postgres:{PASSWORD}@")
    assert PASSWORD in with_password
    done = cli(
        *LETTERS,
        "--records",
        with_password,
        "--report",
        str(tmp_path / "report.json"),
        given=LETTER,
    )
    listed = cli("runs", "list", "letters", "--records", with_password)
    assert "SENT" in listed.stdout
    assert "Set WORKFLOW_RAY_RECORDS first" in done.stdout
    report = (tmp_path / "report.json").read_text()
    assert json.loads(report)["runs"] == {"SENT": 1}
    for said in (
        done.stdout,
        done.stderr,
        listed.stdout,
        listed.stderr,
        report,
        cli("status", "--records", with_password).stdout,
    ):
        assert PASSWORD not in said
