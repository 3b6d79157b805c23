"""What a port consists of, as a table.

For code that passes calls on, to another process or to another event loop, and so needs every
method without naming each.
"""

import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class PortMethod:
    """One asynchronous method of a port.

    Attributes:
        name: As the port has it.
        parameters: In order, without `self`. The annotations are types, never strings.
        answers: The type of what it returns; NoneType where it returns nothing.
    """

    name: str
    parameters: tuple[inspect.Parameter, ...]
    answers: object

    @property
    def waits(self) -> bool:
        """Whether it is a long poll: it has a `wait` in seconds, and can be cancelled."""
        return any(parameter.name == "wait" for parameter in self.parameters)


def methods_of(*ports: type) -> dict[str, PortMethod]:
    """The asynchronous methods of the ports by name, inherited ones included."""
    found = _members(ports)
    return {
        name: _method(name, member) for name, member in found if inspect.iscoroutinefunction(member)
    }


def properties_of(*ports: type) -> tuple[str, ...]:
    """The names of the ports' properties, inherited ones included."""
    names = (name for name, member in _members(ports) if isinstance(member, property))
    return tuple(dict.fromkeys(names))


def _members(ports: tuple[type, ...]) -> Iterator[tuple[str, object]]:
    for port in ports:
        for kind in reversed(port.__mro__):
            for name, member in vars(kind).items():
                if not name.startswith("_"):
                    yield name, member


def _method(name: str, function: typing.Callable[..., object]) -> PortMethod:
    hints = typing.get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    resolved = tuple(
        parameter.replace(annotation=hints[parameter.name]) for parameter in parameters
    )
    return PortMethod(name, resolved, hints["return"])
