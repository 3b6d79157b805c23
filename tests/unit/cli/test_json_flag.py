"""--json is a flag of every command that prints a result, and the page lists its fields."""

from typing import Any

import pytest
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from tests.json_fields import COMMANDS, fields
from workflow_ray.cli.app import app

WITHOUT_RESULT = {"dev", "graph", "worker"}


def commands(group: Any, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= commands(command, *names, name)
        else:
            found[" ".join([*names, name])] = command
    return found


ALL = commands(get_command(app))


@pytest.mark.parametrize("name", sorted(ALL.keys() - WITHOUT_RESULT))
def test_json_is_a_flag_of_each_command_that_prints_a_result(name: str) -> None:
    (option,) = [each for each in ALL[name].params if "--json" in each.opts]
    assert isinstance(option, TyperOption)
    assert option.is_flag


def test_the_page_lists_the_fields_of_each_command_that_prints_a_result() -> None:
    listed = {command.removesuffix(" --data") for each in COMMANDS for command in each}
    assert listed == ALL.keys() - WITHOUT_RESULT
    for _, kinds in COMMANDS.values():
        assert all(fields(kind) for kind in kinds)
