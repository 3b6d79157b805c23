"""A transaction, as the functions of this package see it."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from time import time_ns
from typing import Any, TypeAlias, cast

from sqlalchemy import ClauseElement, Connection, select

from workflow_ray.ports import Clock, SystemClock
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.rows import micros
from workflow_ray_adapters.sql.statement import Compiled, Values

Statement: TypeAlias = Callable[[Dialect], ClauseElement]
"""Builds a statement with SQLAlchemy's Core. It is called once per dialect: what varies is bound.
"""
COLLECTIONS = (list, tuple, set, frozenset, dict)


def store_time(clock: Clock) -> int | None:
    """Return what a session's time is to be: that of a test's clock. None: the store's own clock
    tells it.
    """
    return None if isinstance(clock, SystemClock) else micros(clock.now())


class Session:
    """A connection in a transaction. Statements that run for every transition go to the driver as
    they were first compiled: building, looking up and converting them again took longer than SQLite
    takes to run them.
    """

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self._cursor = connection.connection.cursor()  # its statements run one after another
        self.notification = Notification()
        """What the transaction changes. Those who wait for it are notified after the commit."""
        self.time: int | None = None
        """Microseconds since 1970: the time by the store's clock, if a statement has returned it,
        or by the clock of a test.
        """

    def now(self) -> int:
        """Return the time by the store's clock, in microseconds since 1970. It takes no statement
        if an earlier one has returned it.
        """
        if self.time is None:
            clock = self.dialect.clock()
            self.time = (
                int(self.connection.execute(select(*clock)).scalar_one())
                if clock
                else time_ns() // 1000
            )
        return self.time

    def rows_and_time(self, statement: Statement, **values: object) -> list[Any]:
        """Run a statement whose last columns are the dialect's clock, and return its rows without
        them.
        """
        rows = self.rows(statement, **values)
        if not (rows and self.dialect.clock()):
            return rows
        if self.time is None:
            self.time = int(rows[-1][-1])
        return [row[:-1] for row in rows]

    def rows(self, statement: Statement, **values: object) -> list[Any]:
        """Run a statement and return all its rows. A collection among the values is a list that the
        statement compares with by `among`.
        """
        self.execute(statement, **values)
        return list(self._cursor.fetchall())

    def execute(self, statement: Statement, **values: object) -> None:
        """Run a statement, and drop the rows that it may return."""
        self._cursor.execute(*self._ready(statement, values))

    def run(self, statement: Statement, rows: Sequence[Values]) -> None:
        """Run a statement of the dialect for each of the rows, in order."""
        if rows:
            self.dialect.run(self._cursor, _compiled(statement, self.dialect), rows)

    def _ready(self, statement: Statement, values: Values) -> tuple[str, tuple[object, ...]]:
        compiled = _compiled(statement, self.dialect)
        return compiled.sql, compiled.bind(self._bound(values))

    def _bound(self, values: Values) -> Values:
        """Return the values, with collections as the dialect binds them."""
        listed = self.dialect.bind_list
        return {
            name: listed(cast("Collection[Any]", value))
            if isinstance(value, COLLECTIONS)
            else value
            for name, value in values.items()
        }


@cache
def _compiled(statement: Statement, dialect: Dialect) -> Compiled:
    return Compiled(statement(dialect), dialect.driver)
