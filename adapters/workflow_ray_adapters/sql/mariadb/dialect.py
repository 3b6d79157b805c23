"""Statements for MariaDB."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ClauseElement,
    ColumnElement,
    Insert,
    Table,
    bindparam,
    func,
    insert,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql import mariadb
from sqlalchemy.engine.interfaces import DBAPICursor

from workflow_ray_adapters.sql.dialect import Change, Columns, Dialect, Match
from workflow_ray_adapters.sql.mariadb.given import (
    BYTES,
    ROWS,
    DeleteGiven,
    GivenRows,
    OfRows,
    UpdateGiven,
)
from workflow_ray_adapters.sql.statement import Compiled, Values


class Mariadb(Dialect):
    """Rows to be inserted travel as VALUES, which the driver repeats; rows that a statement is
    joined with travel as JSON; lists as tuples, which the driver writes in parentheses.
    """

    def clock(self) -> Sequence[ColumnElement[int]]:
        microsecond, epoch = text("MICROSECOND"), text("'1970-01-01'")
        now = func.utc_timestamp(text("6"))
        return (func.timestampdiff(microsecond, epoch, now, type_=BigInteger),)

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column.bool_op("IN")(bindparam(name))

    def bind_list(self, values: Collection[Any]) -> object:
        return tuple(values) or (None,)  # a list must not be empty, and nothing equals NULL

    def update(self, table: Table, given: Columns, match: Match, change: Change) -> ClauseElement:
        rows = GivenRows(given)
        return UpdateGiven(rows, table, match(table.c, rows.c), change(table.c, rows.c))

    def delete(self, table: Table, given: Columns, match: Match) -> ClauseElement:
        rows = GivenRows(given)
        return DeleteGiven(rows, table, match(table.c, rows.c))

    def insert(self, table: Table, *names: str) -> Insert:
        return insert(table).values({name: bindparam(name) for name in names or table.c.keys()})

    def upsert(self, table: Table, change: Change) -> Insert:
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update(**change(table.c, insert.inserted))

    def insert_missing(self, table: Table) -> Insert:
        """Set the key to itself where it exists: IGNORE would also hide other errors."""
        return self.upsert(
            table, lambda row, _: {column.name: row[column.name] for column in table.primary_key}
        )

    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        carried = {
            name: kind.process_bind_param(rows, self.driver)
            for name, kind in statement.types.items()
            if isinstance(kind, OfRows)
        }
        if carried:
            cursor.execute(statement.sql, statement.bind(carried))
        else:  # the driver makes one INSERT of many rows
            cursor.executemany(statement.sql, list(map(statement.bind, rows)))

    def parameters(self, names: Collection[str], rows: Sequence[Values]) -> Any:
        if ROWS in names:
            return dict.fromkeys({ROWS, BYTES}.intersection(names), rows)
        return super().parameters(names, rows)


MARIADB = Mariadb(mariadb.loader("asyncmy")(), row_locks=True, correlated_ranges=False)
MARIADB_READER = Mariadb(mariadb.loader("asyncmy")(), row_locks=False, correlated_ranges=False)
