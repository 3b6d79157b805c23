"""Who asks for a change of runs, and the confirmation of a change of many."""

import getpass
import os
import sys

import typer
from rich.prompt import Confirm
from rich.text import Text

from workflow_ray.cli.output import error_console
from workflow_ray.cli.streams import is_open
from workflow_ray.engine.control import Action
from workflow_ray.errors import InvalidInput


def name_of_asker(by: str | None) -> str:
    """Return the name for the history: the one given, or else that of the current user."""
    return by or f"cli:{name_of_user()}"


def name_of_user() -> str:
    """Return the name of the user who calls, or the number: a container may have no name for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def confirm(action: Action, count: int) -> None:
    """Ask before runs are changed. Raises InvalidInput: standard input is not a terminal."""
    if not count:
        return
    runs = "1 run" if count == 1 else f"{count} runs"
    if not is_open(sys.stdin) or not sys.stdin.isatty():
        raise InvalidInput(
            "--yes",
            f"{runs} would be {action.participle}; pass it to have them {action.participle}",
        )
    verb = "Delete the data of" if action is Action.DELETE_DATA else action.verb.capitalize()
    question = Text(f"{verb} {runs}?")
    if not Confirm.ask(question, console=error_console(), default=False):
        raise typer.Abort
