"""Declares options that several commands share once, as the fields of a dataclass."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of each parameter that is a dataclass.

    Typer reads the options of a command from its signature. The signature of the returned function
    has the fields of the dataclass in place of the parameter.

    Args:
        command: Its parameters are options of Typer, or dataclasses whose fields are.
    """
    asked = signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: each.annotation
        for name, each in asked.parameters.items()
        if is_dataclass(each.annotation)
    }

    @wraps(command)
    def called(**given: Any) -> R:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**made, **given)

    parameters = [
        one
        for name, each in asked.parameters.items()
        for one in (
            _options(groups[name])
            if name in groups
            else [each.replace(kind=Parameter.KEYWORD_ONLY)]
        )
    ]
    called.__signature__ = asked.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect and Typer read it
    return called


def _options(group: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
