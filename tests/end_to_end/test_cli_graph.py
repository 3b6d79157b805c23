"""`workflow-ray graph` draws a workflow, with the runs of a store if it is asked to."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.letters import letters

LETTERS = "tests.end_to_end.letters:letters"
TO = ("ann", "bob", "nobody", "somebody", "the moon")


def send(cli: CommandLine) -> CommandLine:
    """Send letters: two arrive, one is cancelled, one is paused, and one fails."""
    given = "".join(json.dumps({"foreign_id": to, "data": {"to": to}}) + "\n" for to in TO)
    cli("run", LETTERS, "--runtime", "local", "--input", "-", given=given, expect=8)
    return cli


@pytest.fixture
def sent(cli: CommandLine) -> CommandLine:
    return send(cli)


def test_it_prints_mermaid_unless_another_format_is_named(cli: CommandLine) -> None:
    assert cli("graph", LETTERS).stdout == letters.graph().mermaid()
    assert cli("graph", LETTERS, "--format", "dot").stdout == letters.graph().dot()
    assert cli("graph", LETTERS, "--format", "svg").stdout == letters.graph().svg()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("letters.mmd", letters.graph().mermaid()),
        ("letters.dot", letters.graph().dot()),
        ("letters.gv", letters.graph().dot()),
        ("letters.svg", letters.graph().svg()),
    ],
)
def test_the_ending_of_the_file_names_the_format(
    cli: CommandLine, tmp_path: Path, name: str, text: str
) -> None:
    file = tmp_path / name
    file.write_text("an earlier one")
    assert cli("graph", LETTERS, "--output", str(file)).stdout == ""
    assert file.read_text() == text


def test_a_named_format_goes_before_the_ending(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "letters.txt"
    cli("graph", LETTERS, "--format", "dot", "--output", str(file))
    assert file.read_text() == letters.graph().dot()


def test_it_counts_the_runs_of_the_records(sent: CommandLine) -> None:
    drawn = sent("graph", LETTERS, "--records", sent.records).stdout
    assert "may pause or cancel<br/>1 failed, 1 paused, 1 cancelled" in drawn
    assert "SENT<br/>2 completed" in drawn
    svg = sent("graph", LETTERS, "--records", sent.records, "--format", "svg").stdout
    texts = [text.text for text in ElementTree.fromstring(svg).iter()]
    assert "2 statuses · 5 runs" in texts
    assert {"1 failed", "1 paused", "1 cancelled", "2 completed"} <= set(texts)


def test_it_counts_the_runs_on_postgresql(cli: CommandLine, postgres_url: str) -> None:
    environment = {**cli.environment, "WORKFLOW_RAY_RECORDS": postgres_url}
    sent = send(CommandLine(postgres_url, environment))
    drawn = sent("graph", LETTERS, "--records", postgres_url).stdout
    assert "may pause or cancel<br/>1 failed, 1 paused, 1 cancelled" in drawn
    assert "SENT<br/>2 completed" in drawn


def test_the_records_of_the_environment_are_not_counted_unasked(sent: CommandLine) -> None:
    assert sent("graph", LETTERS).stdout == letters.graph().mermaid()


def test_what_can_not_be_drawn_is_one_line(cli: CommandLine, tmp_path: Path) -> None:
    for arguments, code, text in (
        (("nothing:here",), 2, "found no module 'nothing'"),
        ((LETTERS, "--output", str(tmp_path / "a.png")), 2, "add --format"),
        ((LETTERS, "--output", str(tmp_path / "none" / "a.svg")), 1, "can't be written"),
        ((LETTERS, "--records", f"sqlite:///{tmp_path}/none.db"), 5, "none.db"),
    ):
        done = cli("graph", *arguments, expect=code)
        (line,) = done.stderr.splitlines()
        assert text in line
        assert done.stdout == ""


def test_records_that_do_not_have_the_workflow_are_refused(sent: CommandLine) -> None:
    other = "tests.shop.shop:orders"
    done = sent("graph", other, "--records", sent.records, expect=2)
    assert "orders" in done.stderr
