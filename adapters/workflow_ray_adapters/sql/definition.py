"""Data definition for migrations. A step that was already done is skipped: on MariaDB each step
commits by itself, so a migration that was killed half-way starts again.
"""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import Column, column, inspect

# whatever the server's default is: other engines have no transactions
SERVERS: dict[str, Any] = {"mysql_engine": "InnoDB"}


def create_table(name: str, *columns: Column[Any], **options: Any) -> None:
    if not inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns, **SERVERS, **options)


def add_column(table: str, column: Column[Any]) -> None:
    """Add a column that may be NULL, or that has a default on the server, because code of the
    previous version goes on writing rows without it.
    """
    if column.name not in {known["name"] for known in inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def drop_column(table: str, column: str) -> None:
    if column in {known["name"] for known in inspect(op.get_bind()).get_columns(table)}:
        op.drop_column(table, column)


def create_index(
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    unique: bool = False,
    of_known: str | None = None,
) -> None:
    """Create an index.

    Args:
        name: Its name.
        table: Its table.
        columns: Its columns, in order.
        unique: True: no two rows have the same values.
        of_known: A column. Where the database can, the index leaves out rows that have no value in
            it.
    """
    if _has_index(name, table):
        return
    where = None if of_known is None else column(of_known).is_not(None)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def drop_index(name: str, table: str) -> None:
    if _has_index(name, table):
        op.drop_index(name, table)


def _has_index(name: str, table: str) -> bool:
    return name in {known["name"] for known in inspect(op.get_bind()).get_indexes(table)}
