"""Whatever is wrong with streams, files and input: one line, and the right exit code."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import CommandLine
from workflow_ray.cli.lines import MAX_LINE

LETTERS = ("run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-")
LETTER = json.dumps({"foreign_id": "a", "data": {"to": "ann"}}) + "\n"


@pytest.fixture
def sent(cli: CommandLine) -> CommandLine:
    """One letter was sent."""
    cli(*LETTERS, given=LETTER)
    return cli


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error, after what a job says at its beginning."""
    *before, line = done.stderr.splitlines()
    assert before in ([], ["Starting letters."]), done.stderr
    assert line.startswith("workflow-ray: ")
    return line


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "path", "why"),
    [
        ("--input", "tests", "tests can't be read: it is a directory"),
        ("--report", "/nowhere/r.json", "can't be written: No such file or directory"),
        ("--report", "tests", "can't be written: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_found_before_the_work(
    cli: CommandLine, tmp_path: Path, option: str, path: str, why: str
) -> None:
    assert why in one_line(cli(*LETTERS, option, path, given=LETTER, expect=2))
    assert not (tmp_path / "records.db").exists()


def test_a_report_is_not_touched_by_a_job_that_does_not_end(
    cli: CommandLine, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("the last report")
    for path in (old, new):
        url = "postgresql://127.0.0.1:1/nobody"
        cli(*LETTERS, "--report", str(path), "--records", url, given=LETTER, expect=5)
    assert old.read_text() == "the last report"
    assert not new.exists()


def test_a_full_disk_under_the_report_is_one_line_and_the_report_is_shown(
    cli: CommandLine,
) -> None:
    done = cli(*LETTERS, "--report", "/dev/full", given=LETTER, expect=1)
    assert one_line(done) == "workflow-ray: /dev/full can't be written: No space left on device"
    assert "SENT" in done.stdout


def test_json_takes_no_path(cli: CommandLine) -> None:
    line = one_line(cli(*LETTERS, "--json", "r.json", given=LETTER, expect=2))
    assert "--report PATH writes the report to a file" in line


def test_run_prints_its_report_as_json(cli: CommandLine) -> None:
    assert json.loads(cli(*LETTERS, "--json", given=LETTER).stdout)["runs"] == {"SENT": 1}


# --- input --------------------------------------------------------------------------------------


def test_closed_standard_input_is_one_line(cli: CommandLine) -> None:
    done = cli.shell("<&-", *LETTERS)
    assert (done.returncode, one_line(done)) == (
        2,
        "workflow-ray: --input: standard input is closed",
    )
    done = cli.shell("<&-", "runs", "resume", "--failed", "--records", "sqlite:////nowhere/x.db")
    assert done.returncode == 5


def test_standard_input_that_can_not_be_read_is_one_line(cli: CommandLine, tmp_path: Path) -> None:
    done = cli.shell(f"0>{tmp_path}/file", *LETTERS)
    assert (done.returncode, "--input: it can't be read" in one_line(done)) == (2, True)


def test_lines_that_cannot_be_read_are_refused_with_their_numbers_and_the_others_go_through(
    cli: CommandLine, tmp_path: Path
) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    lines = [
        b'{"foreign_id": "a", "data": {"to": ' + deep + b"}}",
        b'{"foreign_id": "a", "data": {"to": "ann", "to": "bob"}}',
        b'{"foreign_id": "a", "data": {"to": "\xff"}}',
        b"\x00\x01\x02\x80\x1b[2J",
        b'{"foreign_id": "a", "data": {"to": NaN}}',
        b'{"foreign_id": "a", "data": {"to": "' + b"x" * MAX_LINE + b'"}}',
        LETTER.strip().encode(),
    ]
    (tmp_path / "input").write_bytes(b"\n".join(lines))
    done = cli(*LETTERS[:-1], str(tmp_path / "input"), expect=6)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    refused = [line for line in done.stderr.splitlines() if "refused" in line]
    assert [int(line.split()[1]) for line in refused] == [1, 2, 3, 4, 5, 6]
    assert "nested too deeply" in refused[0]
    assert "the key 'to' twice" in refused[1]
    assert [run["status"] for run in cli.json("runs", "list")] == ["SENT"]


# --- output -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">&-", "it is closed"), (">/dev/full", "No space left on device")],
)
def test_output_that_cannot_be_written_is_one_line(
    sent: CommandLine, redirection: str, why: str
) -> None:
    for command in (("runs", "list"), ("runs", "list", "--json")):
        done = sent.shell(redirection, *command)
        assert done.returncode == 1
        assert one_line(done) == f"workflow-ray: standard output can't be written: {why}"


def test_a_command_whose_reader_has_gone_ends_without_a_message(sent: CommandLine) -> None:
    for command in (("runs", "list"), ("runs", "list", "--json")):
        done = sent.shell("| true", *command)
        assert (done.returncode, done.stderr) == (141, "")


def test_a_job_goes_on_when_its_output_cannot_be_written(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "input").write_text(LETTER)
    report = tmp_path / "report.json"
    command = (*LETTERS[:-1], str(tmp_path / "input"), "--report", str(report))
    for redirection in ("2>&- >&-", "2>/dev/full", "2>&1 | true"):
        cli.shell(redirection, *command)
        assert json.loads(report.read_bytes())["runs"] == {"SENT": 1}
        report.unlink()


def test_a_closed_stream_is_not_replaced_by_a_database(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "input").write_text(LETTER)
    assert cli.shell("<&- >/dev/null 2>&-", *LETTERS[:-1], str(tmp_path / "input")).returncode == 0
    assert (tmp_path / "records.db").read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize("variable", ["PYTHONIOENCODING=ascii", "PYTHONIOENCODING=latin-1:strict"])
def test_text_that_the_output_cannot_encode_is_escaped(cli: CommandLine, variable: str) -> None:
    name, _, value = variable.partition("=")
    narrow = CommandLine(cli.records, {**cli.environment, name: value})
    given = json.dumps({"foreign_id": "東京", "data": {"to": "the moon"}}) + "\n"
    narrow(*LETTERS, given=given, expect=8)
    assert r"\u6771\u4eac" in narrow("runs", "list").stdout
    assert narrow.json("runs", "list")[0]["foreign_id"] == "東京"


def test_control_characters_in_data_do_not_reach_a_terminal(cli: CommandLine) -> None:
    hostile = "\x1b[2J\x9b31m\n[red]:smile:\u202e"
    given = json.dumps({"foreign_id": hostile, "data": {"to": "the moon"}}) + "\n"
    job = cli(*LETTERS, given=given, expect=8)
    shown = [cli("runs", command, hostile).stdout for command in ("show", "history")]
    for text in (job.stdout, job.stderr, cli("runs", "list").stdout, *shown):
        assert set(text) <= {"\n", *filter(str.isprintable, text)}
    assert r"\x1b[2J\x9b31m\n[red]:smile:\u202e" in cli("runs", "list").stdout
    assert cli.json("runs", "show", hostile)["foreign_id"] == hostile
    assert "\x9b" not in cli("runs", "show", hostile, "--json").stdout


def test_json_output_is_strict_whatever_the_data_holds(cli: CommandLine) -> None:
    given = json.dumps({"foreign_id": "a", "data": {"value": "Infinity"}}) + "\n"
    cli(
        "run",
        "tests.end_to_end.measurements:measurements",
        "--runtime",
        "local",
        "--input",
        "-",
        given=given,
    )
    printed = cli("runs", "show", "a", "--json").stdout
    assert json.loads(printed, parse_constant=pytest.fail)["data"]["value"] == "Infinity"
