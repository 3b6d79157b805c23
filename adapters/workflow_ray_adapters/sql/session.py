"""A transaction as the functions of this package see it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache, partial
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import ClauseElement, Connection
from sqlalchemy.sql.compiler import SQLCompiler

from workflow_ray_adapters.sql.dialects import Dialect

Statement: TypeAlias = Callable[[Dialect], ClauseElement]
"""Says a statement in SQLAlchemy's Core. It is asked once per dialect: what varies is bound."""
Values: TypeAlias = Mapping[str, Any]


class Session:
    """A connection in a transaction. Statements that run for every transition go to the driver as they were compiled first:
    to build, look up and convert them again took longer than SQLite takes to run them.
    """

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self.connection, self.dialect = connection, dialect

    def rows(self, statement: Statement, **values: object) -> list[Any]:
        """All rows. A collection among the values is one that the statement has `listed`."""
        compiled = _compiled(statement, self.dialect)
        with closing(self.connection.connection.cursor()) as cursor:
            cursor.execute(compiled.sql, compiled.bind({name: _bound(value) for name, value in values.items()}))
            return list(cursor.fetchall())

    def run(self, statement: Statement, rows: Sequence[Values]) -> None:
        """Once for each of the rows, in order."""
        if rows:
            compiled = _compiled(statement, self.dialect)
            with closing(self.connection.connection.cursor()) as cursor:
                cursor.executemany(compiled.sql, [compiled.bind(row) for row in rows])


class _Compiled:
    def __init__(self, compiled: SQLCompiler) -> None:
        self.sql = compiled.string
        order = tuple(compiled.positiontup or ())
        self._pick: Callable[[Values], tuple[object, ...]] = itemgetter(*order) if len(order) > 1 else partial(_each, order)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def bind(self, values: Values) -> tuple[object, ...]:
        """The values in the order of the statement's parameters, among them the constants that it was said with."""
        return self._pick({**self._constants, **values} if self._constants else values)


def _each(names: Sequence[str], values: Values) -> tuple[object, ...]:
    return tuple([values[name] for name in names])  # a tuple for one name too, which itemgetter doesn't give


@cache
def _compiled(statement: Statement, dialect: Dialect) -> _Compiled:
    compiled = statement(dialect).compile(dialect=dialect.driver)
    assert isinstance(compiled, SQLCompiler)
    return _Compiled(compiled)


def _bound(value: object) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, (list, tuple, set, dict)) else value
