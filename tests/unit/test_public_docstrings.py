"""The public API is documented as editors and the API reference render it: Google's style."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, get_origin

import pytest

import workflow_ray
from workflow_ray import testing

MADE_BY_US = {
    "BulkJob",
    "BulkPreview",
    "BulkProgress",
    "Client",
    "DeadLetter",
    "DeadLetterContent",
    "DeadLetters",
    "Diagram",
    "Entry",
    "Handle",
    "IteratedSource",
    "Runtime",
    "ScheduleInfo",
}
"""Classes whose constructor nobody else calls."""


def functions() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Each public function: its name, itself, and the docstring that documents its arguments."""
    for module in (workflow_ray, testing):
        for name in module.__all__:
            member = getattr(module, name)
            if get_origin(member) is not None:
                continue  # the type of functions, which has no signature
            if not inspect.isclass(member):
                yield name, member, inspect.getdoc(member) or ""
                continue
            if name not in MADE_BY_US:
                constructor = inspect.getdoc(member.__init__) or ""
                yield name, member.__init__, f"{inspect.getdoc(member)}\n{constructor}"
            for part, function in inspect.getmembers(member, inspect.isfunction):
                if not part.startswith("_") and function.__module__.startswith("workflow_ray"):
                    yield f"{name}.{part}", function, inspect.getdoc(function) or ""


FUNCTIONS = {name: (function, text) for name, function, text in functions()}


def arguments(function: Callable[..., Any]) -> list[str]:
    parameters = list(inspect.signature(function).parameters.values())
    named = [one.name for one in parameters if one.name not in ("self", "args", "kwargs")]
    return [name for name in named if not name.startswith("_")]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_argument_is_documented_where_there_is_more_than_one(name: str) -> None:
    function, text = FUNCTIONS[name]
    _, _, section = text.partition("Args:\n")
    documented = re.findall(r"^ {4}(\w+):", section, re.MULTILINE)
    if len(asked := arguments(function)) > 1:
        assert set(asked) <= set(documented), "no line of its own under Args:"
