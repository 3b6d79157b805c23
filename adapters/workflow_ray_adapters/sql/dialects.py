"""One place for what differs between databases."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Select, Table
from sqlalchemy.dialects import sqlite

T = TypeVar("T")
S = TypeVar("S", bound="Select[Any]")


@dataclass(frozen=True)
class Dialect:
    begin: str  # opens a writing transaction
    row_locks: bool  # without them `begin` must take the write lock
    variables: int  # the most bound parameters of a statement that lists values
    upsert: Callable[[Table, Callable[[Table, Any], dict[str, ColumnElement[Any]]]], Executable]
    """INSERT, or where the primary key exists, set what the function makes of the table's row and the one offered."""

    def locked(self, query: S, *, shared: bool = False) -> S:
        """The query's rows stay as they are until the transaction ends."""
        return query.with_for_update(read=shared) if self.row_locks else query

    def slices(self, values: Sequence[T]) -> Iterator[Sequence[T]]:
        """The values in parts that each fit an IN list."""
        return (values[at : at + self.variables] for at in range(0, len(values), self.variables))


def _sqlite_upsert(table: Table, change: Callable[[Table, Any], dict[str, ColumnElement[Any]]]) -> Executable:
    insert = sqlite.insert(table)
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=change(table, insert.excluded))


SQLITE = Dialect(begin="BEGIN IMMEDIATE", row_locks=False, variables=10_000, upsert=_sqlite_upsert)
