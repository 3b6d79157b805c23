"""Statements for PostgreSQL. Lists and rows travel as arrays: one for each column of the rows."""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ClauseElement,
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
    delete,
    extract,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.types import TypeEngine

from workflow_ray_adapters.sql.dialect import Change, Columns, Dialect, Match
from workflow_ray_adapters.sql.statement import Compiled, Values

Ins = TypeVar("Ins", bound=Insert)


class Postgresql(Dialect):
    """Unnests the arrays into a table called `given`."""

    def clock(self) -> Sequence[ColumnElement[int]]:
        return (cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger),)

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column == any_(bindparam(name, type_=_array(column.type)))

    def bind_list(self, values: Collection[Any]) -> object:
        return list(values)

    def update(self, table: Table, given: Columns, match: Match, change: Change) -> ClauseElement:
        new = _unnested(given)
        return update(table).where(*match(table.c, new)).values(change(table.c, new))

    def delete(self, table: Table, given: Columns, match: Match) -> ClauseElement:
        return delete(table).where(*match(table.c, _unnested(given)))

    def insert(self, table: Table, *names: str) -> Insert:
        return self._filled(insert(table), table, names or tuple(table.c.keys()))

    def upsert(self, table: Table, change: Change) -> Insert:
        insert = postgresql.insert(table)
        filled = self._filled(insert, table, tuple(table.c.keys()))
        return filled.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=change(table.c, insert.excluded)
        )

    def insert_missing(self, table: Table) -> Insert:
        filled = self._filled(postgresql.insert(table), table, tuple(table.c.keys()))
        return filled.on_conflict_do_nothing(index_elements=list(table.primary_key))

    def run(self, cursor: DBAPICursor, statement: Compiled, rows: Sequence[Values]) -> None:
        cursor.execute(statement.sql, list(zip(*map(statement.bind, rows), strict=True)))

    def parameters(self, names: Collection[str], rows: Sequence[Values]) -> Any:
        return {name: [row[name] for row in rows] for name in names if name in rows[0]}

    def _filled(self, insert: Ins, table: Table, names: Sequence[str]) -> Ins:
        given = _unnested({name: table.c[name] for name in names})
        rows = select(*(given[name] for name in names))
        if table.autoincrement_column is not None:
            rows = rows.order_by(given["nth"])
        return insert.from_select(names, rows)


def _unnested(given: Columns) -> Columns:
    arrays = [bindparam(name, type_=_array(of.type)) for name, of in given.items()]
    names = [column(name, of.type) for name, of in given.items()]
    rows = func.unnest(*arrays).table_valued(*names, with_ordinality="nth", name="given")
    return dict(rows.render_derived().c.items())


def _array(of: TypeEngine[Any]) -> postgresql.ARRAY[Any]:
    """Return the array's type. Text loses its length: a cast to a shorter one would cut it off in
    silence.
    """
    plain = of.impl_instance if isinstance(of, TypeDecorator) else of
    return postgresql.ARRAY(Text() if isinstance(plain, String) else plain)


POSTGRESQL = Postgresql(PGDialect_asyncpg(), row_locks=True)  # type: ignore[no-untyped-call]  # SQLAlchemy says no types here
POSTGRESQL_READER = Postgresql(PGDialect_asyncpg(), row_locks=False)  # type: ignore[no-untyped-call]  # as above
