"""One place for what differs between databases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Insert, Select, Table, Text, bindparam, func, select
from sqlalchemy import Dialect as Driver
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.selectable import GenerativeSelect

Q = TypeVar("Q", bound=GenerativeSelect)


@dataclass(frozen=True, eq=False)
class Dialect:
    driver: Driver  # compiles statements; its parameters are positional
    begin: str  # opens a writing transaction
    row_locks: bool  # without them `begin` must take the write lock
    listed: Callable[[str], Select[Any]]
    """The values of a list that is bound as one parameter of that name, as JSON: so a statement is the same for any number."""
    upsert: Callable[[Table, Callable[[Any, Any], dict[str, ColumnElement[Any]]]], Insert]
    """INSERT, or where the primary key exists, set what the function makes of the row there and the one offered."""

    def locked(self, query: Q, *, shared: bool = False) -> Q:
        """The query's rows stay as they are until the transaction ends."""
        return query.with_for_update(read=shared) if self.row_locks else query


def _sqlite_listed(name: str) -> Select[Any]:
    return select(func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value)


def _sqlite_upsert(table: Table, change: Callable[[Any, Any], dict[str, ColumnElement[Any]]]) -> Insert:
    insert = sqlite.insert(table)
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=change(table.c, insert.excluded))


SQLITE = Dialect(
    driver=SQLiteDialect_pysqlite(),
    begin="BEGIN IMMEDIATE",
    row_locks=False,
    listed=_sqlite_listed,
    upsert=_sqlite_upsert,
)
