"""One table has the exit codes of all commands, and --help shows it."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from workflow_ray.cli.app import app
from workflow_ray.cli.exit_codes import ALWAYS, MEANINGS, ExitCode
from workflow_ray.errors import WorkflowError

OWN = {
    "undeploy": {ExitCode.NOT_ALLOWED},
    "run": {ExitCode.NOT_ALLOWED, ExitCode.LINES_REFUSED, ExitCode.RUNS_FAILED},
    "worker": {ExitCode.NOT_ALLOWED, ExitCode.STEPS_ABANDONED},
    "dev": {ExitCode.NOT_ALLOWED},
    "deploy": {ExitCode.NOT_ALLOWED},
    "diff": {ExitCode.NOT_ALLOWED, ExitCode.DIFFERS},
    "runs show": {ExitCode.NOT_FOUND},
    "runs history": {ExitCode.NOT_FOUND},
    **{f"dead-letters {action}": {ExitCode.NOT_FOUND} for action in ("show", "replay", "drop")},
    **{
        f"runs {action}": {ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED}
        for action in ("pause", "resume", "retry", "cancel", "move", "fork", "delete-data")
    },
    "bulk show": {ExitCode.NOT_FOUND},
    **{
        f"bulk {action}": {ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED}
        for action in ("pause", "resume", "abort", "drop")
    },
}
"""Codes that not every command returns."""


def kinds(root: type[WorkflowError]) -> Iterator[type[WorkflowError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def commands(group: Any, *names: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *names, name)
        else:
            yield " ".join([*names, name])


def shown(help_text: str) -> set[int]:
    """Return the codes that a --help shows."""
    _, _, table = help_text.partition("Exit codes:")
    return {int(line.split()[0]) for line in table.splitlines() if line.strip()}


@pytest.mark.parametrize("kind", list(kinds(WorkflowError)), ids=lambda kind: kind.__name__)
def test_the_exit_code_of_each_error_is_in_the_table(kind: type[WorkflowError]) -> None:
    assert kind.exit_code in MEANINGS


def test_each_code_has_a_meaning_and_help_shows_them_all() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert shown(CliRunner().invoke(app, ["--help"]).stdout) == set(ExitCode)


@pytest.mark.parametrize("command", list(commands(get_command(app))))
def test_the_help_of_each_command_shows_the_codes_that_it_returns(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert shown(result.stdout) == {*ALWAYS, *OWN.get(command, set())}
