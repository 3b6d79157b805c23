"""What differs between databases: each has a `Dialect` of its own, in the module `dialect` of its
package.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import ClauseElement, ColumnElement, Insert, Table
from sqlalchemy import Dialect as Driver
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.selectable import GenerativeSelect

from workflow_ray_adapters.sql.statement import Compiled, Values

Q = TypeVar("Q", bound=GenerativeSelect)
Columns: TypeAlias = Mapping[str, ColumnElement[Any]]
Change: TypeAlias = Callable[[Any, Any], Columns]
"""Returns the new values of a stored row, from its columns and those of the row given."""
Match: TypeAlias = Callable[[Any, Any], Sequence[ColumnElement[bool]]]
"""Returns what is true of a stored row and the row given that belong together."""


class Dialect(ABC):
    """Build statements for one database, and run the ones that are for many rows.

    A statement carries all rows that it is for, so the number of statements does not depend on the
    number of rows.

    Args:
        driver: Compiles statements. Its parameters are positional.
        row_locks: False: `lock_rows` locks nothing, because a transaction holds the write lock
            from its beginning, or only reads.
        correlated_ranges: Whether a subquery reads only a range of an index where that depends on
            the query around it.
    """

    def __init__(self, driver: Driver, *, row_locks: bool, correlated_ranges: bool = True) -> None:
        self.driver = driver
        self.correlated_ranges = correlated_ranges
        self._row_locks = row_locks

    def lock_rows(self, query: Q, *, shared: bool = False, waits: bool = True) -> Q:
        """Make the query lock the rows that it finds until the transaction ends. If it does not
        wait for locks of others, these abort the transaction.
        """
        return query.with_for_update(read=shared, nowait=not waits) if self._row_locks else query

    @abstractmethod
    def clock(self) -> Sequence[ColumnElement[int]]:
        """Return a column with the time now, in microseconds since 1970; it goes on within a
        transaction. No column means that the store's clock is the host's.
        """

    @abstractmethod
    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Compare the column with a list of any length, which is bound as one parameter.

        Args:
            column: The column, or another expression.
            name: The name of the parameter. Its value is made by `bind_list`.
        """

    @abstractmethod
    def bind_list(self, values: Collection[Any]) -> object:
        """Return the parameter's value for a list that `among` compares with."""

    @abstractmethod
    def update(self, table: Table, given: Columns, match: Match, change: Change) -> ClauseElement:
        """Update, for each row given, the row of the table that it matches.

        Args:
            table: The table.
            given: By the name of each value in the rows given: a column of the same type.
            match: Names the primary key, so that no other rows of the table are read or locked.
            change: Returns the new values.
        """

    @abstractmethod
    def delete(self, table: Table, given: Columns, match: Match) -> ClauseElement:
        """Delete, for each row given, the row of the table that it matches. Arguments as `update`
        has them.
        """

    @abstractmethod
    def insert(self, table: Table, *names: str) -> Insert:
        """Insert the rows. Keys that the database generates follow the order of the rows.

        Args:
            table: Where to.
            names: The columns that the rows have; none: all.
        """

    @abstractmethod
    def upsert(self, table: Table, change: Change) -> Insert:
        """Insert the rows, with all columns; change the row that has the primary key already.

        No two of the rows may have the same key.
        """

    @abstractmethod
    def insert_missing(self, table: Table) -> Insert:
        """Insert the rows, with all columns, whose primary key does not exist."""

    @abstractmethod
    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        """Run a statement for one row or more that one of the methods above has made."""

    def parameters(self, names: Collection[str], rows: Sequence[Values]) -> Any:
        """Return what SQLAlchemy executes such a statement with, for one row or more. It is used
        with drivers other than `run` knows.

        Args:
            names: The statement's parameters.
            rows: The rows.
        """
        return [{name: row[name] for name in names if name in row} for row in rows]
