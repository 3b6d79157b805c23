"""The commands, options and calls that errors, docstrings and docs point at exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import workflow_ray
from workflow_ray import Runtime
from workflow_ray.cli.app import app
from workflow_ray.client import Client, Handle
from workflow_ray.testing import WorkflowTester

ROOT = Path(__file__).parents[3]
COMMAND = re.compile(r"workflow-ray((?: +[^\s`'\";]+)+)")
CALL = re.compile(r"(?:call|Call|with|pass) (\w+)\(\)")


def texts() -> Iterator[tuple[str, str]]:
    places = ["workflow_ray", "adapters", "docs", "examples", "README.md", "Makefile"]
    listed = subprocess.run(
        ["git", "ls-files", *places], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if name.endswith((".py", ".md", "Makefile")):
            # A string that goes on in the next line of the code is one text.
            yield name, re.sub(r'"\s*\n\s*f?"', "", (ROOT / name).read_text())


def mentioned() -> list[tuple[str, list[str]]]:
    return [(name, found[1].split()) for name, text in texts() for found in COMMAND.finditer(text)]


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words name, and the words after it."""
    command: Any = get_command(app)
    while isinstance(command, TyperGroup) and words and words[0].islower() and words[0][0] != "-":
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    return {"--help", *(name for parameter in command.params for name in parameter.opts)}


@pytest.mark.parametrize(
    ("place", "words"), mentioned(), ids=lambda part: part if isinstance(part, str) else ""
)
def test_a_command_that_is_pointed_at_exists(place: str, words: list[str]) -> None:
    command, rest = resolved(words)
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert options <= options_of(command)


def test_a_call_that_is_pointed_at_exists() -> None:
    known = {name for kind in (Client, Handle, Runtime, WorkflowTester) for name in dir(kind)}
    called = {found for name, text in texts() if "errors/" in name for found in CALL.findall(text)}
    assert called
    assert called <= known | set(workflow_ray.__all__)
