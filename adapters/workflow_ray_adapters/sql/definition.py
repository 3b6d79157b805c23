"""Data definition for migrations. Each step is passed over where it was taken before: on MariaDB
each commits by itself, so that a migration that was killed half-way is begun again.
"""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import Column, inspect

SERVERS: dict[str, Any] = {"mysql_engine": "InnoDB"}  # whatever the server's default is: others know no transactions


def create_table(name: str, *columns: Column[Any], **options: Any) -> None:
    if not inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns, **SERVERS, **options)


def add_column(table: str, column: Column[Any]) -> None:
    """Of a column that may be NULL, or that has a default of the server's: code of the version
    before goes on writing rows without it.
    """
    if column.name not in {known["name"] for known in inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def drop_column(table: str, column: str) -> None:
    if column in {known["name"] for known in inspect(op.get_bind()).get_columns(table)}:
        op.drop_column(table, column)


def create_index(name: str, table: str, columns: Sequence[str], *, unique: bool = False) -> None:
    if name not in {known["name"] for known in inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns, unique=unique)
