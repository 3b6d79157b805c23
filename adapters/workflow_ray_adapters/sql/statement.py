"""A statement as it goes to the driver: compiled once, for any values."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import ClauseElement
from sqlalchemy import Dialect as Driver
from sqlalchemy.sql.compiler import SQLCompiler

Values: TypeAlias = Mapping[str, Any]
ROWS = "rows_that_are_given"
"""Stands in a statement for the rows that it is run for, where the database has them in the
statement's text.
"""


class Compiled:
    """SQL, and what picks the values of its parameters, which are positional."""

    def __init__(self, statement: ClauseElement, driver: Driver) -> None:
        compiled = statement.compile(dialect=driver)
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self.joins_rows = ROWS in self.sql
        self.names = tuple(compiled.positiontup or ())
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        pick: Callable[[Values], tuple[object, ...]] = (
            itemgetter(*self.names) if len(self.names) > 1 else partial(_each, self.names)
        )
        self.bind = partial(_with, constants, pick) if constants else pick
        """The values in the order of the statement's parameters, among them the constants that it
        was said with.
        """


def _each(names: Sequence[str], values: Values) -> tuple[object, ...]:
    # a tuple for one name too, which itemgetter doesn't give
    return tuple([values[name] for name in names])


def _with(
    constants: Values, pick: Callable[[Values], tuple[object, ...]], values: Values
) -> tuple[object, ...]:
    return pick({**constants, **values})
