"""`workflow-ray runs` shows runs as text and as JSON, and has an exit code for each failure."""

import asyncio
import json
import re
from datetime import timedelta

import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.letters import Letter, letters
from workflow_ray import connect

TO = {"a": "ann", "b": "nobody", "c": "somebody"}


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Send three letters: one arrives, one is cancelled, one is paused."""
    given = "".join(
        json.dumps({"foreign_id": key, "data": {"to": to}}) + "\n" for key, to in TO.items()
    )
    cli(
        "run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-", given=given
    )
    return cli


def run_id(cli: CommandLine, key: str) -> str:
    (run,) = cli.json("runs", "list", "letters", "--foreign-id", key)
    return str(run["run_id"])


def test_list_shows_the_newest_first(cli: CommandLine) -> None:
    assert [run["foreign_id"] for run in cli.json("runs", "list", "letters")] == ["c", "b", "a"]
    assert [run["foreign_id"] for run in cli.json("runs", "list", "letters", "--limit", "1")] == [
        "c"
    ]


def test_list_takes_any_of_several_statuses_and_run_states(cli: CommandLine) -> None:
    assert [
        run["foreign_id"] for run in cli.json("runs", "list", "letters", "--status", "SENT")
    ] == ["a"]
    both = ("--state", "paused", "--state", "CANCELLED")
    assert [run["foreign_id"] for run in cli.json("runs", "list", "letters", *both)] == ["c", "b"]


def test_list_prints_a_line_for_each_run(cli: CommandLine) -> None:
    header, *lines = cli("runs", "list", "letters").stdout.splitlines()
    assert header.split() == ["run_id", "foreign_id", "status", "run_state", "updated_at", "reason"]
    assert [line.split()[1:4] for line in lines] == [
        ["c", "WRITTEN", "PAUSED"],
        ["b", "WRITTEN", "CANCELLED"],
        ["a", "SENT", "COMPLETED"],
    ]


def test_runs_are_counted_by_status_and_run_state(cli: CommandLine) -> None:
    counted = [
        {"workflow": "letters", "status": "WRITTEN", "run_state": "PAUSED", "runs": 1},
        {"workflow": "letters", "status": "WRITTEN", "run_state": "CANCELLED", "runs": 1},
        {"workflow": "letters", "status": "SENT", "run_state": "COMPLETED", "runs": 1},
    ]
    assert cli.json("runs", "counts") == cli.json("runs", "counts", "letters") == counted
    assert (
        "workflow 'parcels' is not deployed here"
        in cli("runs", "counts", "parcels", expect=2).stderr
    )


def test_show_has_the_data_too(cli: CommandLine) -> None:
    shown = cli.json("runs", "show", run_id(cli, "a"))
    assert (shown["foreign_id"], shown["status"], shown["run_state"], shown["data"]) == (
        "a",
        "SENT",
        "COMPLETED",
        {"to": "ann"},
    )
    assert '{"to":"ann"}' in cli("runs", "show", run_id(cli, "a")).stdout


def test_a_delayed_run_is_shown_with_the_time_at_which_its_step_is_due(cli: CommandLine) -> None:
    async def trigger() -> None:
        async with connect(letters, records=cli.records) as client:
            await client.trigger("late", Letter(to="ann"), delay=timedelta(hours=1))

    asyncio.run(trigger())
    shown = cli.json("runs", "show", "late")["waits_for"]
    assert re.fullmatch(r"its step \(due \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\)", shown)
    (listed,) = cli.json("runs", "list", "letters", "--foreign-id", "late")
    assert listed["waits_for"] == shown


def test_history_shows_every_version_and_its_reason(cli: CommandLine) -> None:
    entries = cli.json("runs", "history", run_id(cli, "c"))
    assert [entry["version"] for entry in entries] == list(range(1, len(entries) + 1))
    assert (entries[0]["cause"], entries[0]["by"]) == ("TRIGGER", "client")
    assert (entries[-1]["cause"], entries[-1]["by"], entries[-1]["reason"]) == (
        "PAUSE",
        "letters-1-consumer-1-of-1",
        "who is meant?",
    )
    assert "who is meant?" in cli("runs", "history", run_id(cli, "c")).stdout


def test_history_shows_with_data_what_each_version_has_changed(cli: CommandLine) -> None:
    first, *rest = cli("runs", "history", "c", "--data").stdout.splitlines()
    assert first.startswith("1  WRITTEN  INITIATED  TRIGGER by ")
    assert rest[0].strip() == '+ to: "somebody"'
    assert [entry["data"] for entry in cli.json("runs", "history", "c", "--data")] == [
        {"to": "somebody"},
        None,
    ]


@pytest.mark.timeout(120)
def test_the_error_of_a_failed_attempt_is_shown_with_its_trace_on_request(
    cli: CommandLine,
) -> None:
    given = json.dumps({"foreign_id": "e", "data": {"to": "the moon"}})
    command = ("run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-")
    cli(*command, given=given, expect=8)
    kind, message = "workflow_ray.definition.halt.Fatal", "no box there"
    error = cli.json("runs", "history", "e")[-1]["error"]
    assert error == {"type": kind, "message": message, "trace": None}
    assert f"{kind}: {message}" in cli("runs", "show", "e").stdout
    shown = cli("runs", "history", "e", "--trace").stdout
    assert "     Traceback (most recent call last):\n" in shown
    assert 'raise Fatal("no box there")' in shown
    traced = cli.json("runs", "show", "e", "--trace")["error"]
    assert traced["trace"].endswith(f"Fatal: {message}\n")
    assert cli.json("runs", "history", "e", "--trace", "--data")[-1]["error"] == traced


def test_an_unknown_run_exits_with_3(cli: CommandLine) -> None:
    for command in ("show", "history"):
        assert (
            cli("runs", command, "nothing", expect=3).stderr
            == "workflow-ray: no run 'nothing' exists.\n"
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("parcels",), "workflow 'parcels' is not deployed here (deployed: letters)"),
        (("letters", "--status", "LOST"), "letters has no status 'LOST'; it has WRITTEN, SENT"),
        (("letters", "--state", "ASLEEP"), "'ASLEEP' is not a run state"),
    ],
)
def test_an_unknown_name_exits_with_2_and_lists_the_known_ones(
    cli: CommandLine, arguments: tuple[str, ...], said: str
) -> None:
    assert said in cli("runs", "list", *arguments, expect=2).stderr


def test_missing_records_exit_with_5(cli: CommandLine) -> None:
    said = cli(
        "runs", "list", "letters", "--records", "sqlite:////nowhere/records.db", expect=5
    ).stderr
    assert said.startswith("workflow-ray: ")
    assert said.count("\n") == 1


def test_a_record_store_of_an_unknown_kind_exits_with_2(cli: CommandLine) -> None:
    assert (
        "no adapter for 'carrier-pigeon'"
        in cli("runs", "list", "letters", "--records", "carrier-pigeon://loft", expect=2).stderr
    )
