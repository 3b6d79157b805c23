"""`workflow-ray runs pause|resume|retry|cancel|move|fork` controls runs by name or by filters."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.letters import letters
from workflow_ray import RunState, Runtime

REFERENCE = "tests.end_to_end.letters:letters"
SOME_FAILED = 8
TO = {"a": "ann", "b": "nobody", "c": "somebody", "d": "somebody", "e": "the moon"}


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Send letters: one arrives, one is cancelled, their step pauses two, an error pauses one."""
    send(cli, TO, expect=SOME_FAILED)
    return cli


def send(cli: CommandLine, to: Mapping[str, str], *, expect: int = 0) -> None:
    given = "".join(
        json.dumps({"foreign_id": key, "data": {"to": whom}}) + "\n" for key, whom in to.items()
    )
    cli("run", REFERENCE, "--runtime", "local", "--input", "-", given=given, expect=expect)


def states(cli: CommandLine) -> dict[str, str]:
    return {run["foreign_id"]: run["run_state"] for run in cli.json("runs", "list", "letters")}


def history(cli: CommandLine, run: str) -> Any:
    return cli.json("runs", "history", run)


def test_failed_runs_are_found_and_retried_and_go_on_with_the_next_worker(cli: CommandLine) -> None:
    assert [run["foreign_id"] for run in cli.json("runs", "list", "--failed")] == ["e"]
    assert (
        cli(
            "runs",
            "retry",
            "--failed",
            "--yes",
            "--reason",
            "the moon has a box now",
            "--by",
            "ann",
        ).stdout
        == "1 run retried.\n"
    )
    assert cli.json("runs", "list", "--failed") == []
    entry = history(cli, "e")[-1]
    assert (entry["cause"], entry["by"], entry["reason"]) == (
        "RETRIED",
        "ann",
        "the moon has a box now",
    )
    send(cli, {"f": "fay"})
    assert history(cli, "e")[-1]["cause"] == "FAILED"


def test_runs_that_are_named_by_foreign_id_or_by_run_id_are_controlled_without_a_question(
    cli: CommandLine,
) -> None:
    (run,) = cli.json("runs", "list", "--foreign-id", "d")
    assert (
        cli("runs", "cancel", "c", run["run_id"], "--reason", "not wanted").stdout
        == "2 runs cancelled.\n"
    )
    assert (states(cli)["c"], states(cli)["d"]) == ("CANCELLED", "CANCELLED")
    assert history(cli, "c")[-1]["by"].startswith("cli:")


def test_runs_that_filters_choose_are_counted_and_need_a_confirmation(cli: CommandLine) -> None:
    said = cli("runs", "resume", "--state", "PAUSED", expect=2).stderr
    assert said == "workflow-ray: --yes: 3 runs would be resumed; pass it to have them resumed\n"
    assert list(states(cli).values()).count("PAUSED") == 3
    assert cli.json("runs", "resume", "--state", "PAUSED", "--yes") == {
        "action": "resume",
        "changed": 3,
        "unchanged": 0,
        "refused": {},
        "missing": [],
    }
    assert list(states(cli).values()).count("RUNNING") == 3


def test_refused_runs_are_reported_and_the_others_are_changed(cli: CommandLine) -> None:
    done = cli("runs", "cancel", "a", "b", "c", "--reason", "x", expect=4)
    assert done.stdout == "1 run cancelled. 1 already were.\n"
    assert "cancel is refused: it is COMPLETED." in done.stderr
    assert states(cli)["c"] == "CANCELLED"


def test_runs_are_moved_to_a_status_by_name_or_by_filters(cli: CommandLine) -> None:
    asked = ("--to", "SENT", "--reason", "by hand", "--by", "ann")
    assert cli("runs", "move", "c", *asked).stdout == "1 run moved.\n"
    assert cli("runs", "move", "--failed", "--yes", *asked).stdout == "1 run moved.\n"
    assert (states(cli)["c"], states(cli)["e"]) == ("COMPLETED", "COMPLETED")
    entry = history(cli, "c")[-1]
    assert [entry[each] for each in ("status", "cause", "by", "reason")] == [
        "SENT",
        "MOVED",
        "ann",
        "by hand",
    ]


def test_the_data_of_finished_runs_is_deleted_by_the_next_worker(cli: CommandLine) -> None:
    said = cli("runs", "delete-data", "a", "b", "--by", "ann").stdout
    assert said == "2 runs marked for data deletion.\n"
    assert states(cli)["a"] == "REQUESTED_DATA_DELETED"
    assert history(cli, "a")[-1]["by"] == "ann"
    already = cli("runs", "delete-data", "a").stdout
    assert already == "0 runs marked for data deletion. 1 already were.\n"
    asyncio.run(until_deleted(cli, "a"))
    shown = cli.json("runs", "show", "a")
    assert (shown["data"], shown["labels"]) == (None, {})
    assert "the data was deleted" in cli("runs", "history", "a", "--data").stdout
    entries = cli.json("runs", "history", "a", "--data")
    assert [entry["data"] for entry in entries] == [None] * 4


async def until_deleted(cli: CommandLine, foreign_id: str) -> None:
    """Run the workflow until the data of a run is deleted."""
    async with Runtime.local(letters, records=cli.records) as runtime:
        client = runtime.client(letters)
        handle = client.handle((await client.latest(foreign_id)).run_id)
        assert [each.run_state async for each in handle.follow()][-1] is RunState.DATA_DELETED


def test_runs_are_chosen_by_labels(cli: CommandLine) -> None:
    line = {"foreign_id": "g", "data": {"to": "gil"}, "labels": {"tenant": "acme", "size": "S"}}
    arguments = ("run", REFERENCE, "--runtime", "local", "--input", "-")
    cli(*arguments, given=json.dumps(line) + "\n")
    by_label = ("--label", "tenant=acme", "--label", "size=S")
    (found,) = cli.json("runs", "list", *by_label)
    assert (found["foreign_id"], found["labels"]) == ("g", line["labels"])
    assert cli.json("runs", "list", "--label", "tenant=acme", "--label", "size=L") == []
    assert "labels      tenant=acme size=S\n" in cli("runs", "show", "g").stdout
    said = cli("runs", "delete-data", *by_label, "--yes").stdout
    assert said == "1 run marked for data deletion.\n"


def test_a_fork_is_a_new_run_and_its_history_says_from_where(cli: CommandLine) -> None:
    (run,) = cli.json("runs", "list", "--foreign-id", "a")
    asked = ("--foreign-id", "g", "--idempotency-key", "k", "--reason", "once more", "--by", "ann")
    fork = cli.json("runs", "fork", "a", "1", *asked)
    assert fork == {
        "workflow": "letters",
        "run_id": fork["run_id"],
        "foreign_id": "g",
        "forked_from": run["run_id"],
        "version": 1,
        "known": False,
    }
    (entry,) = history(cli, "g")
    assert (entry["cause"], entry["by"]) == ("FORKED", "ann")
    assert entry["reason"] == f"fork of run {run['run_id']} at version 1: once more"
    said = cli("runs", "fork", "a", "1", *asked).stdout
    assert said == f"letters: run {fork['run_id']} (g) was started before.\n"


def test_a_cancellation_may_include_all_children_or_none(cli: CommandLine) -> None:
    assert cli("runs", "cancel", "c", "--cascade", "--reason", "x").stdout == "1 run cancelled.\n"
    assert cli("runs", "cancel", "d", "--no-cascade", "--reason", "x").stdout == (
        "1 run cancelled.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("move", "c", "--to", "SENT"), 2, "reason: give one: the history keeps why a run was mov"),
        (("move", "c", "--to", "LOST", "--reason", "x"), 2, "letters has no status 'LOST'; it has"),
        (("move", "a", "--to", "SENT", "--reason", "x"), 4, "move is refused: it is COMPLETED."),
        (("fork", "zzz", "1"), 3, "no run 'zzz' exists."),
        (("fork", "a", "7"), 2, "has no version 7: its newest is 2"),
        (("fork", "c", "1"), 4, "has an unfinished run for 'c'"),
        (("resume",), 2, "runs: name runs, or choose them by filters, e.g. --failed"),
        (("resume", "a", "--failed"), 2, "runs: name runs or give filters, not both"),
        (("cancel", "--foreign-id", "", "--reason", "x", "--yes"), 2, "--foreign-id: it is empty"),
        (
            ("cancel", "--workflow", "letters", "--foreign-id", "", "--reason", "x", "--yes"),
            2,
            "--foreign-id: it is empty",
        ),
        (("cancel", "", "--reason", "x"), 3, "no run ''"),
        (("cancel", "\udcff", "--reason", "x"), 3, "no run '\\udcff'"),
        (("cancel", "c"), 2, "reason: give one: the history keeps why a run was cancelled"),
        (("delete-data", "c"), 4, "delete_data is refused: it is PAUSED, not finished. Wait for"),
        (("delete-data", "a", "--reason", "x"), 2, "reason: leave it out: it would be deleted"),
        (("resume", "--label", "tenant", "--yes"), 2, "--label: write NAME=VALUE, e.g. tenant=ac"),
        (
            ("resume", "--label", "a=1", "--label", "a=2", "--yes"),
            2,
            "--label: a is given twice; a label has one value",
        ),
        (("pause", "zzz", "--reason", "x"), 3, "no run 'zzz' exists."),
        (("retry", "c"), 4, "retry is refused: it was paused by no error. Resume it instead."),
        (("resume", "--older-than", "soon", "--yes"), 2, "--older-than: 'soon' is not a time"),
        (
            ("resume", "--older-than", "99999999d", "--yes"),
            2,
            "--older-than: it is from 0 seconds to 100 years",
        ),
        (
            ("resume", "--older-than", "9" * 400 + "d", "--yes"),
            2,
            "--older-than: it is from 0 seconds to 100 years",
        ),
        (
            ("resume", "--workflow", "parcels", "--yes"),
            2,
            "workflow 'parcels' is not deployed here",
        ),
        (
            ("resume", "--status", "LOST", "--yes"),
            2,
            "letters has no status 'LOST'; it has WRITTEN, SENT",
        ),
    ],
)
def test_a_refused_command_prints_one_line_and_changes_nothing(
    cli: CommandLine, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = states(cli)
    stderr = cli("runs", *arguments, expect=code).stderr
    assert said in stderr
    assert stderr.count("\n") == 1
    assert states(cli) == before


def test_a_run_is_named_by_the_beginning_of_its_id_where_that_is_enough(cli: CommandLine) -> None:
    run_ids = [run["run_id"] for run in cli.json("runs", "list")]
    assert cli.json("runs", "show", run_ids[0][:-1])["run_id"] == run_ids[0]
    said = cli("runs", "show", run_ids[0][:8], expect=2).stderr
    assert "names several runs: letters" in said
    assert cli.json("runs", "show", run_ids[0].upper())["run_id"] == run_ids[0]


def test_list_finds_old_and_stuck_runs(cli: CommandLine) -> None:
    assert cli.json("runs", "list", "--older-than", "1h") == []
    assert len(cli.json("runs", "list", "--older-than", "0s")) == len(TO)
    assert cli.json("runs", "list", "--stuck", "--older-than", "0s") == []
    cli("runs", "resume", "c")
    assert cli.json("runs", "list", "--stuck", "--older-than", "0s") == [], (
        "its event is in the outbox"
    )
