"""Adds commands to an application, each with its help and its exit codes."""

import re
from collections.abc import Callable
from inspect import cleandoc
from typing import Any, TypeVar

import typer

from workflow_ray.cli.exit_codes import ExitCode, describe

F = TypeVar("F", bound=Callable[..., Any])


def command(
    app: typer.Typer,
    *codes: ExitCode,
    name: str | None = None,
    help_text: str | None = None,
    **settings: Any,
) -> Callable[[F], F]:
    """Add the decorated function as a command.

    Args:
        app: The application or group that gets the command.
        codes: The exit codes that the command can return besides those of every command.
        name: Default: the function's name.
        help_text: Default: the function's docstring.
        settings: Passed on to Typer.
    """

    def add(function: F) -> F:
        text = paragraphs(help_text or function.__doc__ or "")
        app.command(name, help=text, epilog=describe(*codes), **settings)(function)
        return function

    return add


def paragraphs(text: str) -> str:
    """Join the lines of each paragraph, because a terminal may be narrower than the source."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(text))
