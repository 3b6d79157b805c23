"""Errors of commands are printed in lines that can be read."""

import pytest

from workflow_ray.cli import invocation
from workflow_ray.errors import DeployStrandsRuns, InvalidInput, WorkflowError

STRANDED = DeployStrandsRuns(
    [
        ("orders", "status RESERVED = 2 is gone", 2, "put it back"),
        ("orders", "data can't be read: \x1b[2J", 1, "add a migration"),
    ]
)


def printed(
    error: WorkflowError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Let a command fail with the error. Returns the lines on standard error."""

    def fail(prog_name: str) -> None:
        raise error

    monkeypatch.setattr(invocation, "app", fail)
    assert invocation.invoke() == error.exit_code
    return capsys.readouterr().err.splitlines()


def test_each_finding_of_a_refused_deploy_has_its_own_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(STRANDED, monkeypatch, capsys) == [
        "workflow-ray: a deploy of 'orders' would leave unfinished runs behind, and was not made:",
        "  status RESERVED = 2 is gone; put it back",
        "  data can't be read: \\x1b[2J; add a migration",
        "  To deploy all the same: --strand, in a program strand=True.",
    ]


def test_another_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = printed(InvalidInput("key", "two\nlines"), monkeypatch, capsys)
    assert line == "workflow-ray: key: two\\nlines"
