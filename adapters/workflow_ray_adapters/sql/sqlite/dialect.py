"""Statements for SQLite. It runs in this process: a prepared statement per row costs less than
anything that carries all rows at once.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Insert,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import DBAPICursor

from workflow_ray_adapters.sql.dialect import Change, Columns, Dialect, Match
from workflow_ray_adapters.sql.statement import Compiled, Values


class Sqlite(Dialect):
    """Lists travel as JSON, rows one by one."""

    def clock(self) -> Sequence[ColumnElement[int]]:
        return ()

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        values = func.json_each(bindparam(name, type_=Text)).table_valued("value")
        return column.in_(select(values.c.value))

    def bind_list(self, values: Collection[Any]) -> object:
        return msgspec.json.encode(values).decode()

    def update(self, table: Table, given: Columns, match: Match, change: Change) -> ClauseElement:
        new = _parameters(given)
        return update(table).where(*match(table.c, new)).values(change(table.c, new))

    def delete(self, table: Table, given: Columns, match: Match) -> ClauseElement:
        return delete(table).where(*match(table.c, _parameters(given)))

    def insert(self, table: Table, *names: str) -> Insert:
        values: Mapping[str, ColumnElement[Any]] = {
            name: bindparam(name) for name in names or table.c.keys()
        }
        return insert(table).values(values).inline()

    def upsert(self, table: Table, change: Change) -> Insert:
        insert = sqlite.insert(table)
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=change(table.c, insert.excluded)
        )

    def insert_missing(self, table: Table) -> Insert:
        return sqlite.insert(table).on_conflict_do_nothing(index_elements=list(table.primary_key))

    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        cursor.executemany(statement.sql, list(map(statement.bind, rows)))


def _parameters(given: Columns) -> Columns:
    return {name: bindparam(name, type_=column.type) for name, column in given.items()}


SQLITE = Sqlite(SQLiteDialect_pysqlite(), row_locks=False)
