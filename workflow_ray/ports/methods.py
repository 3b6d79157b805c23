"""The methods of the ports, as a table that is derived from their signatures.

Code that forwards calls, to another process or to another event loop, forwards what the table
lists. So a new method of a port needs no change there.
"""

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
_NOT_REPEATABLE = "__not_repeatable__"


def not_repeatable(function: Function) -> Function:
    """Mark a port's method that must not be called again where its outcome is unknown.

    All other methods may be repeated with the same arguments: they only read, are idempotent, or do
    only what is still to be done.
    """
    setattr(function, _NOT_REPEATABLE, True)
    return function


@dataclass(frozen=True)
class PortMethod:
    """One asynchronous method of a port.

    Attributes:
        declared: The function in the port's class.
        parameters: In order, without `self`. The annotations are types, never strings.
        returns: The type of what it returns; NoneType where it returns nothing.
    """

    declared: Callable[..., Any]
    parameters: tuple[inspect.Parameter, ...]
    returns: object

    @property
    def name(self) -> str:
        return self.declared.__name__

    @property
    def is_long_poll(self) -> bool:
        """Whether it has a `wait` in seconds. Cancelling it loses nothing."""
        return any(parameter.name == "wait" for parameter in self.parameters)

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be called again where its outcome is unknown."""
        return not hasattr(self.declared, _NOT_REPEATABLE)


def methods_of(*ports: type) -> dict[str, PortMethod]:
    """List the asynchronous methods of the ports by name, inherited ones included."""
    found = _members(ports)
    return {name: _method(member) for name, member in found if inspect.iscoroutinefunction(member)}


def properties_of(*ports: type) -> tuple[str, ...]:
    """List the names of the ports' properties, inherited ones included."""
    names = (name for name, member in _members(ports) if isinstance(member, property))
    return tuple(dict.fromkeys(names))


def _members(ports: tuple[type, ...]) -> Iterator[tuple[str, object]]:
    for port in ports:
        for kind in reversed(port.__mro__):
            for name, member in vars(kind).items():
                if not name.startswith("_"):
                    yield name, member


def _method(function: Callable[..., Any]) -> PortMethod:
    hints = typing.get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    resolved = tuple(
        parameter.replace(annotation=hints[parameter.name]) for parameter in parameters
    )
    return PortMethod(function, resolved, hints["return"])
