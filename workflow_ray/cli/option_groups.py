"""Options that several commands share: declared once, as the fields of a dataclass."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of each parameter that is a dataclass.

    Typer reads a command's options from its signature. This one has the fields of the dataclass in
    place of the parameter; the command gets an instance made of them.

    Args:
        command: Takes parameters that Typer knows, and dataclasses whose fields are such.
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
    called.__signature__ = asked.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
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
