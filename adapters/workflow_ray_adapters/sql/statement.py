"""A statement as it goes to the driver: compiled once, for any values."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import ClauseElement
from sqlalchemy import Dialect as Driver
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Values: TypeAlias = Mapping[str, Any]


class Compiled:
    """SQL, and a function that returns the values of its parameters in their order."""

    def __init__(self, statement: ClauseElement, driver: Driver) -> None:
        compiled = statement.compile(dialect=driver)
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self.names = tuple(compiled.positiontup or ())
        self.types: Mapping[str, TypeEngine[Any]] = {
            name: parameter.type for name, parameter in compiled.binds.items()
        }
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        pick: Callable[[Values], tuple[object, ...]] = (
            itemgetter(*self.names) if len(self.names) > 1 else partial(_each, self.names)
        )
        self.bind = partial(_with, constants, pick) if constants else pick
        """Returns the values of the parameters in their order, and among them the constants that
        the statement was built with.
        """


def _each(names: Sequence[str], values: Values) -> tuple[object, ...]:
    # a tuple for one name as well, which itemgetter does not return
    return tuple([values[name] for name in names])


def _with(
    constants: Values, pick: Callable[[Values], tuple[object, ...]], values: Values
) -> tuple[object, ...]:
    return pick({**constants, **values})
