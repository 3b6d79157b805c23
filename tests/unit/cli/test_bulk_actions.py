"""Bulk jobs are started from the command line by the names of their actions."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from workflow_ray.cli.app import app
from workflow_ray.client.bulk_controls import checked_action
from workflow_ray.engine.bulk import ACTIONS
from workflow_ray.errors import InvalidInput, WorkflowError


def failure(action: str, folder: Path) -> BaseException | None:
    arguments = ["bulk", "start", "orders", action, "--reason", "why", "--yes"]
    records = f"sqlite:///{folder / 'none.db'}"
    return CliRunner().invoke(app, [*arguments, "--records", records]).exception


def test_the_help_names_actions_as_commands_are_named() -> None:
    shown = CliRunner().invoke(app, ["bulk", "start", "--help"], terminal_width=200).stdout
    assert "cancel, move, delete-data" in shown


@pytest.mark.parametrize("action", ["delete-data", "delete_data"])
def test_an_action_may_be_written_as_a_command_is(action: str, tmp_path: Path) -> None:
    error = failure(action, tmp_path)
    assert isinstance(error, WorkflowError)
    assert "leave it out: it would be deleted" in str(error)  # the reason, not the action
    assert "delete_data" in ACTIONS
    with pytest.raises(InvalidInput, match="action: it is one of"):
        checked_action("delete-data")  # in a program it has one name


def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    assert "action: it is one of" in str(failure("delete", tmp_path))
