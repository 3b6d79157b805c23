"""`workflow-ray bulk` starts jobs that control many runs, shows them and controls them."""

import json
import re
from typing import Any

import msgspec
import pytest

from tests.end_to_end.conftest import CommandLine, interrupt

REFERENCE = "tests.end_to_end.letters:letters"
SOME_FAILED = 8
TO = {"a": "ann", "b": "nobody", "c": "somebody", "d": "somebody", "e": "the moon"}
NOBODY = "01890000-0000-7000-8000-000000000000"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Send letters: one arrives, one is cancelled, their step pauses two, an error pauses one."""
    given = "".join(
        json.dumps({"foreign_id": key, "data": {"to": whom}}) + "\n" for key, whom in TO.items()
    )
    command = ("run", REFERENCE, "--runtime", "local", "--input", "-")
    cli(*command, given=given, expect=SOME_FAILED)
    return cli


def states(cli: CommandLine) -> dict[str, str]:
    return {run["foreign_id"]: run["run_state"] for run in cli.json("runs", "list", "letters")}


def test_a_job_waits_for_a_worker_which_does_it(cli: CommandLine) -> None:
    started = cli.json(
        "bulk", "start", "letters", "cancel", "--state", "PAUSED", "--reason", "x", "--yes"
    )
    assert (started["state"], started["changed"], started["asked"]) == ("running", 0, None)
    assert started["by"].startswith("cli:")
    assert states(cli)["c"] == "PAUSED"
    worker = cli.start("worker", REFERENCE)
    try:
        lines = cli("bulk", "show", "letters", started["id"], "--wait", "--json").stdout
    finally:
        interrupt(worker)
    shown: list[Any] = [msgspec.json.decode(line) for line in lines.splitlines()]
    assert shown[-1]["state"] == "done"
    assert (shown[-1]["changed"], shown[-1]["unchanged"], shown[-1]["refused"]) == (3, 0, 0)
    assert states(cli) == {
        "a": "COMPLETED",
        **dict.fromkeys(("b", "c", "d", "e"), "CANCELLED"),
    }
    (listed,) = cli.json("bulk", "list", "letters")
    assert listed == shown[-1]
    head, row = cli("bulk", "list", "letters").stdout.splitlines()
    assert head.split()[:3] == ["id", "action", "state"]
    assert row.split()[:4] == [started["id"], "cancel", "done", "3"]
    dropped = cli("bulk", "drop", "letters", started["id"]).stdout
    assert dropped == f"letters: bulk job {started['id']} is dropped.\n"
    assert cli.json("bulk", "list", "letters") == []


def test_a_dry_run_and_the_question_tell_how_many_runs_would_change(cli: CommandLine) -> None:
    cancel = ("bulk", "start", "letters", "cancel", "--reason", "x")
    assert cli(*cancel, "--dry-run").stdout == (
        "letters: 3 runs would be cancelled, 1 would stay as they are, and 1 would refuse it.\n"
    )
    assert cli.json(*cancel, "--failed", "--dry-run") == {
        "workflow": "letters",
        "action": "cancel",
        "changed": 1,
        "unchanged": 0,
        "refused": 0,
    }
    said = cli(*cancel, expect=2).stderr
    assert (
        said == "workflow-ray: --yes: 3 runs would be cancelled; pass it to have them cancelled\n"
    )
    assert cli.json("bulk", "list", "letters") == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_ctrl_c_ends_a_wait_and_says_that_the_job_goes_on(
    cli: CommandLine, flags: tuple[str, ...]
) -> None:
    start = ("bulk", "start", "letters", "cancel", "--state", "PAUSED", "--reason", "x", "--yes")
    waiting = cli.start(*start, "--wait", *flags)
    stream = waiting.stdout if flags else waiting.stderr
    assert stream is not None
    stream.readline()
    code, said = interrupt(waiting)
    (job,) = cli.json("bulk", "list", "letters")
    assert code == 130
    assert said == (
        f"workflow-ray: interrupted. The bulk job goes on: `workflow-ray bulk show letters"
        f" {job['id']} --wait` waits for it, and `workflow-ray bulk abort letters {job['id']}` ends"
        " it.\n"
    )
    assert (job["state"], job["asked"]) == ("running", None)


def test_a_job_is_paused_resumed_and_aborted(cli: CommandLine) -> None:
    job = cli.json("bulk", "start", "letters", "retry", "--failed", "--yes")["id"]
    paused = cli("bulk", "pause", "letters", job).stdout
    assert paused == (
        f"letters: bulk job {job} is running: 0 changed, 0 unchanged, 0 refused, 0 moved on. It"
        " will be paused soon.\n"
    )
    assert cli.json("bulk", "resume", "letters", job)["asked"] is None
    assert cli.json("bulk", "abort", "letters", job)["asked"] == "aborted"
    assert "drop is refused" in cli("bulk", "drop", "letters", job, expect=4).stderr
    worker = cli.start("worker", REFERENCE)
    try:
        said = cli("bulk", "show", "letters", job, "--wait", expect=1)
    finally:
        interrupt(worker)
    assert "state       aborted" in said.stdout
    assert f"bulk job {job} of letters was aborted." in said.stderr
    assert (
        "abort is refused: it is aborted" in cli("bulk", "abort", "letters", job, expect=4).stderr
    )
    assert states(cli)["e"] == "PAUSED"


def test_runs_are_moved_to_a_status(cli: CommandLine) -> None:
    move = ("bulk", "start", "letters", "move", "--reason", "x", "--to", "SENT")
    assert cli(*move, "--dry-run").stdout == (
        "letters: 3 runs would be moved, 0 would stay as they are, and 2 would refuse it.\n"
    )
    started = cli.json(*move, "--yes")
    assert (started["action"], started["to"]) == ("move", "SENT")
    worker = cli.start("worker", REFERENCE)
    try:
        done = cli("bulk", "show", "letters", started["id"], "--wait").stdout
    finally:
        interrupt(worker)
    assert re.search(r"^to +SENT$", done, re.MULTILINE)
    assert re.search(r"^changed +3$", done, re.MULTILINE)
    assert states(cli) == {
        **dict.fromkeys(("a", "c", "d", "e"), "COMPLETED"),
        "b": "CANCELLED",
    }


def test_what_can_not_be_done_is_one_line_with_its_exit_code(cli: CommandLine) -> None:
    for arguments, code, said in (
        (("start", "letters", "fold", "--yes"), 2, "action: it is one of"),
        (("start", "letters", "cancel", "--yes"), 2, "reason: give one"),
        (("start", "parcels", "retry", "--yes"), 2, "workflow 'parcels' is not deployed here"),
        (("start", "letters", "retry", "--status", "LOST", "--yes"), 2, "has no status 'LOST'"),
        (("start", "letters", "move", "--reason", "x", "--yes"), 2, "--to: name the status"),
        (
            ("start", "letters", "move", "--to", "LOST", "--reason", "x", "--yes"),
            2,
            "letters has no status 'LOST'; it has WRITTEN, SENT",
        ),
        (("start", "letters", "retry", "--to", "SENT", "--yes"), 2, "--to: only a move has it"),
        (("list", "parcels"), 2, "workflow 'parcels' is not deployed here"),
        (("show", "letters", NOBODY), 3, f"has no bulk job '{NOBODY}'"),
        (("pause", "letters", "x"), 3, "has no bulk job 'x'"),
        (("drop", "letters", NOBODY), 3, "`workflow-ray bulk list letters` shows those"),
    ):
        refused = cli("bulk", *arguments, expect=code).stderr
        assert said in refused
        assert len(refused.splitlines()) == 1
