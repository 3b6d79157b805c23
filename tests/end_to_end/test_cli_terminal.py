"""What a terminal of any width shows, and what a pipe gets."""

import json
import re
import signal

import pytest

from tests.end_to_end.conftest import CommandLine, read_terminal

RUN_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")
STYLE = re.compile(r"\x1b\[[\d;]*m")
REASON = "the moon has no box, and nobody there to empty it, so the letter comes back" * 2


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Two letters: one with long names and a long reason."""
    letters = {"a": "ann", "b" * 60: "the moon"}
    given = "".join(
        json.dumps({"foreign_id": key, "data": {"to": to}}) + "\n" for key, to in letters.items()
    )
    reference = "tests.end_to_end.letters:letters"
    cli("run", reference, "--runtime", "local", "--input", "-", given=given, expect=8)
    cli("runs", "cancel", "b" * 60, "--reason", REASON)
    return cli


@pytest.mark.parametrize("columns", [200, 80, 40])
def test_run_ids_are_whole_on_a_terminal_of_any_width(cli: CommandLine, columns: int) -> None:
    run_ids = {run["run_id"] for run in cli.json("runs", "list")}
    printed = STYLE.sub("", cli.on_terminal(columns, "runs", "list"))
    assert set(RUN_ID.findall(printed)) == run_ids
    assert max(map(len, printed.splitlines())) <= columns
    assert "".join(REASON.split()) in "".join(printed.split())


def test_a_pipe_gets_one_line_for_each_run_without_colour(cli: CommandLine) -> None:
    for command in (("runs", "list"), ("runs", "counts"), ("runs", "history", "b" * 60)):
        printed = cli(*command).stdout
        assert "\x1b" not in printed
        assert len(printed.splitlines()) == 1 + len(cli.json(*command))
    header, newest, _ = cli("runs", "list").stdout.splitlines()
    assert newest.endswith(REASON)
    assert header.index("reason") == newest.index(REASON)


def test_a_terminal_gets_colour_unless_it_is_not_wanted(cli: CommandLine) -> None:
    assert COLOUR.search(cli.on_terminal(80, "runs", "list"))
    assert not COLOUR.search(cli.on_terminal(80, "--no-color", "runs", "list"))
    without = CommandLine(cli.records, {**cli.environment, "NO_COLOR": "1"})
    assert not COLOUR.search(without.on_terminal(80, "runs", "list"))


def test_a_question_is_asked_on_a_terminal_and_no_is_an_answer(cli: CommandLine) -> None:
    command = ("runs", "cancel", "--workflow", "letters", "--reason", "x")
    assert "Cancel 2 runs?" in cli.on_terminal(80, *command, given="n\n")
    assert "1 already were" in cli.on_terminal(80, *command, given="y\n")


def test_ctrl_c_at_a_question_is_one_line_and_changes_nothing(cli: CommandLine) -> None:
    command = ("runs", "cancel", "--workflow", "letters", "--reason", "x")
    with cli.start_on_terminal(80, *command) as (process, terminal):
        read_terminal(terminal, until="Cancel 2 runs?")
        process.send_signal(signal.SIGINT)
        assert read_terminal(terminal).splitlines()[-1] == "workflow-ray: interrupted."
    assert process.returncode == 130


def test_a_job_shows_how_far_it_is_above_what_it_says(cli: CommandLine) -> None:
    given = json.dumps({"foreign_id": "c", "data": {"to": "ann"}}) + "\nnonsense\n\x04"
    job = ("run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-")
    printed = STYLE.sub("", cli.on_terminal(80, *job, given=given))
    assert "line 2 refused: not JSON" in printed
    assert re.search(r"letters .*1/1", printed)


def test_a_shell_completes_commands_and_options(cli: CommandLine) -> None:
    for shell in ("bash", "zsh", "fish"):
        ask = {"_WORKFLOW_RAY_COMPLETE": f"source_{shell}"}
        script = CommandLine(cli.records, {**cli.environment, **ask})().stdout
        assert "_WORKFLOW_RAY_COMPLETE" in script
    ask = {
        "_WORKFLOW_RAY_COMPLETE": "complete_bash",
        "COMP_WORDS": "workflow-ray runs li",
        "COMP_CWORD": "2",
    }
    assert CommandLine(cli.records, {**cli.environment, **ask})().stdout.split() == ["list"]
    ask |= {"COMP_WORDS": "workflow-ray runs list --fo", "COMP_CWORD": "3"}
    assert CommandLine(cli.records, {**cli.environment, **ask})().stdout.split() == ["--foreign-id"]
