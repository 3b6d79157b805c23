"""One place for what differs between databases."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    String,
    Table,
    Text,
    TypeDecorator,
    any_,
    bindparam,
    cast,
    column,
    extract,
    func,
    insert,
    select,
    table,
    text,
)
from sqlalchemy import Dialect as Driver
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql import mariadb
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.selectable import GenerativeSelect
from sqlalchemy.types import TypeEngine

from workflow_ray_adapters.sql.statement import ROWS, Compiled, Values

Q = TypeVar("Q", bound=GenerativeSelect)
Ins = TypeVar("Ins", bound=Insert)
Columns: TypeAlias = Mapping[str, ColumnElement[Any]]
Change: TypeAlias = Callable[[Any, Any], Mapping[str, ColumnElement[Any]]]


class Dialect(ABC):
    """How a database is told things, so that the number of statements doesn't depend on the number
    of rows.

    row_locks: without them a writing transaction must hold the write lock from its beginning, or
    only read.
    """

    def __init__(self, driver: Driver, *, row_locks: bool) -> None:
        self.driver = driver  # compiles statements; its parameters are positional
        self._row_locks = row_locks

    def locked(self, query: Q, *, shared: bool = False) -> Q:
        """The query's rows stay as they are until the transaction ends."""
        return query.with_for_update(read=shared) if self._row_locks else query

    @abstractmethod
    def clock(self) -> Sequence[ColumnElement[int]]:
        """A column that is the time now, in microseconds since 1970, as it passes within a
        transaction; none: the host's clock is the store's.
        """

    @abstractmethod
    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Whether the column's value is in a list of any length, bound as one parameter of that
        name.
        """

    @abstractmethod
    def listed(self, values: Collection[Any]) -> object:
        """What such a list is bound as."""

    @abstractmethod
    def row(self, **columns: ColumnElement[Any]) -> Columns:
        """The values of each row that a statement is run for, by their names there; each is of the
        type of the column given.
        """

    @abstractmethod
    def insert(self, table: Table, *names: str) -> Insert:
        """INSERT the rows, of these columns, or else of all. Keys that the database gives out
        follow the rows' order.
        """

    @abstractmethod
    def upsert(self, table: Table, change: Change) -> Insert:
        """INSERT the rows, of all columns, or where the primary key exists set what the function
        makes of the row there and of the one offered. No two of the rows have the same key.
        """

    @abstractmethod
    def add_missing(self, table: Table) -> Insert:
        """INSERT the rows, of all columns, whose primary key doesn't exist; the others change
        nothing.
        """

    @abstractmethod
    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        """Run a statement that was said with `row`, `insert`, `upsert` or `add_missing`; with one
        row or more.
        """


class Sqlite(Dialect):
    """In the process: a prepared statement per row costs less than anything that carries all rows
    at once.
    """

    def clock(self) -> Sequence[ColumnElement[int]]:
        return ()

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column.in_(
            select(func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value)
        )

    def listed(self, values: Collection[Any]) -> object:
        return msgspec.json.encode(values).decode()

    def row(self, **columns: ColumnElement[Any]) -> Columns:
        return {name: bindparam(name, type_=column.type) for name, column in columns.items()}

    def insert(self, table: Table, *names: str) -> Insert:
        return (
            insert(table)
            .values({name: bindparam(name) for name in names or table.c.keys()})
            .inline()
        )

    def upsert(self, table: Table, change: Change) -> Insert:
        insert = sqlite.insert(table)
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=change(table.c, insert.excluded)
        )

    def add_missing(self, table: Table) -> Insert:
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=list(table.primary_key))

    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        cursor.executemany(statement.sql, list(map(statement.bind, rows)))


class Postgresql(Dialect):
    """Rows travel as arrays, one a column."""

    def clock(self) -> Sequence[ColumnElement[int]]:
        return (cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger),)

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column == any_(bindparam(name, type_=_array(column.type)))

    def listed(self, values: Collection[Any]) -> object:
        return list(values)

    def row(self, **columns: ColumnElement[Any]) -> Columns:
        arrays = [bindparam(name, type_=_array(of.type)) for name, of in columns.items()]
        names = [column(name, of.type) for name, of in columns.items()]
        given = (
            func.unnest(*arrays)
            .table_valued(*names, with_ordinality="nth", name="given")
            .render_derived()
        )
        return dict(given.c.items())

    def insert(self, table: Table, *names: str) -> Insert:
        return self._filled(insert(table), table, names or tuple(table.c.keys()))

    def upsert(self, table: Table, change: Change) -> Insert:
        insert = postgresql.insert(table)
        filled = self._filled(insert, table, tuple(table.c.keys()))
        return filled.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=change(table.c, insert.excluded)
        )

    def add_missing(self, table: Table) -> Insert:
        filled = self._filled(postgresql.insert(table), table, tuple(table.c.keys()))
        return filled.on_conflict_do_nothing(index_elements=list(table.primary_key))

    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        cursor.execute(statement.sql, list(zip(*map(statement.bind, rows), strict=True)))

    def _filled(self, insert: Ins, table: Table, names: Sequence[str]) -> Ins:
        given = self.row(**{name: table.c[name] for name in names})
        rows = select(*(given[name] for name in names))
        return insert.from_select(
            names, rows.order_by(given["nth"]) if table.autoincrement_column is not None else rows
        )


def _array(of: TypeEngine[Any]) -> postgresql.ARRAY[Any]:
    """Text without its length: a cast to a shorter one would cut it off in silence."""
    plain = of.impl_instance if isinstance(of, TypeDecorator) else of
    return postgresql.ARRAY(Text() if isinstance(plain, String) else plain)


class Mariadb(Dialect):
    """Rows and lists travel in the statement's text, where the driver puts all values anyway."""

    def clock(self) -> Sequence[ColumnElement[int]]:
        return (
            func.timestampdiff(
                text("MICROSECOND"),
                text("'1970-01-01'"),
                func.utc_timestamp(text("6")),
                type_=BigInteger,
            ),
        )

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column.bool_op("IN")(bindparam(name))

    def listed(self, values: Collection[Any]) -> object:
        return tuple(values) or (None,)  # a list isn't allowed to be empty, and nothing equals NULL

    def row(self, **columns: ColumnElement[Any]) -> Columns:
        """Of a table by a name that `run` replaces with the rows: they are a query there, which is
        repeated for each.
        """
        rows = table(ROWS, *(column(name, of.type) for name, of in columns.items()))
        return dict(rows.alias("given").c.items())

    def insert(self, table: Table, *names: str) -> Insert:
        return insert(table).values({name: bindparam(name) for name in names or table.c.keys()})

    def upsert(self, table: Table, change: Change) -> Insert:
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update(**change(table.c, insert.inserted))

    def add_missing(self, table: Table) -> Insert:
        return self.upsert(
            table, lambda row, _: {column.name: row[column.name] for column in table.primary_key}
        )

    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        if not statement.joins_rows:
            # the driver makes one INSERT of many rows
            cursor.executemany(statement.sql, list(map(statement.bind, rows)))
            return
        one = _one_row(tuple(rows[0]), self.driver)
        values = [value for row in rows for value in one.bind(row)]
        query = " UNION ALL ".join([one.sql] * len(rows))
        cursor.execute(
            statement.sql.replace(ROWS, f"({query})", 1), [*values, *statement.bind(rows[0])]
        )


@cache
def _one_row(names: Sequence[str], driver: Driver) -> Compiled:
    given: list[ColumnElement[Any]] = [bindparam(name).label(name) for name in names]
    return Compiled(select(*given), driver)


SQLITE = Sqlite(SQLiteDialect_pysqlite(), row_locks=False)
POSTGRESQL = Postgresql(PGDialect_asyncpg(), row_locks=True)  # type: ignore[no-untyped-call]  # SQLAlchemy says no types here
POSTGRESQL_READER = Postgresql(PGDialect_asyncpg(), row_locks=False)  # type: ignore[no-untyped-call]  # as above
MARIADB = Mariadb(mariadb.loader("asyncmy")(), row_locks=True)
MARIADB_READER = Mariadb(mariadb.loader("asyncmy")(), row_locks=False)
