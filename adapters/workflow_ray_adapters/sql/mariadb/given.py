"""The rows that a statement is joined with: a table that MariaDB makes of JSON.

Numbers and text travel in an array for each row. Bytes of all rows travel beside it in one value,
of which each row names its part: in JSON they would have to be encoded and decoded.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Dialect,
    Executable,
    FunctionElement,
    Integer,
    Join,
    LargeBinary,
    Table,
    TypeDecorator,
    and_,
    bindparam,
    column,
    func,
)
from sqlalchemy.dialects.mysql import DECIMAL, LONGBLOB, LONGTEXT
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from workflow_ray_adapters.sql.dialect import Columns
from workflow_ray_adapters.sql.statement import Values

ROWS = "given_rows"
BYTES = "given_bytes"
"""The names of the two parameters."""
NUMBER = DECIMAL(20)
"""JSON_TABLE cuts off what its column does not hold, without an error. This type holds each number
that JSON carries here, so that the column which it is stored in refuses it.
"""


class OfRows(TypeDecorator[Sequence[Values]]):
    """The type of a parameter whose value is made of all rows."""

    @abstractmethod
    def process_bind_param(self, value: Sequence[Values] | None, dialect: Dialect) -> Any: ...


class JsonRows(OfRows):
    """The rows as a JSON array of arrays: the plain values, then of each of the bytes the place
    where they begin, and their number.
    """

    impl = LONGTEXT
    cache_ok = True

    def __init__(self, plain: tuple[str, ...], binary: tuple[str, ...]) -> None:
        super().__init__()
        self.plain = plain
        self.binary = binary

    def process_bind_param(self, value: Sequence[Values] | None, dialect: Dialect) -> str:
        begin = 1  # SQL counts from 1
        rows = list[list[object]]()
        for given in value or ():
            row = [given[name] for name in self.plain]
            for name in self.binary:
                if (part := given[name]) is None:
                    row += (None, None)
                else:
                    row += (begin, len(part))
                    begin += len(part)
            rows.append(row)
        return msgspec.json.encode(rows).decode()


class JoinedBytes(OfRows):
    """All bytes of all rows, joined in the order that JsonRows counts them in."""

    impl = LONGBLOB
    cache_ok = True

    def __init__(self, binary: tuple[str, ...]) -> None:
        super().__init__()
        self.binary = binary

    def process_bind_param(self, value: Sequence[Values] | None, dialect: Dialect) -> bytes:
        return b"".join([given[name] or b"" for given in value or () for name in self.binary])


class JsonTable(FunctionElement[Any]):
    """JSON_TABLE over an array of arrays, whose values are the columns, in order."""

    name = "json_table"
    inherit_cache = False

    def __init__(self, rows: ColumnElement[Any], columns: Sequence[tuple[str, Any]]) -> None:
        super().__init__(rows)
        self.typed = columns


@compiles(JsonTable, "mysql", "mariadb")
def _json_table(table: JsonTable, compiler: SQLCompiler, **options: Any) -> str:
    rows = compiler.process(table.clauses, **options)
    quote, spell = compiler.preparer.quote, compiler.dialect.type_compiler_instance.process
    columns = [
        f"{quote(name)} {spell(kind)} PATH '$[{at}]' ERROR ON ERROR"
        for at, (name, kind) in enumerate(table.typed)
    ]
    return f"JSON_TABLE({rows}, '$[*]' COLUMNS ({', '.join(columns)}))"


class GivenRows:
    """The rows as a table, and their columns.

    Text has the connection's collation, which is that of keys.
    """

    def __init__(self, given: Columns) -> None:
        kinds = {name: of.type for name, of in given.items()}
        binary = tuple(name for name, kind in kinds.items() if isinstance(kind, LargeBinary))
        plain = tuple(name for name in kinds if name not in binary)
        typed = [(name, _lossless(kinds[name])) for name in plain]
        typed += [(part, NUMBER) for name in binary for part in _part(name)]
        rows = JsonTable(bindparam(ROWS, type_=JsonRows(plain, binary)), typed)
        self.table = rows.table_valued(*(column(*of) for of in typed), name="given")
        joined = bindparam(BYTES, type_=JoinedBytes(binary))
        self.c: Columns = {name: self.table.c[name] for name in plain} | {
            name: func.substring(joined, *(self.table.c[part] for part in _part(name)))
            for name in binary
        }


def _part(name: str) -> tuple[str, str]:
    return f"{name}_begin", f"{name}_size"


def _lossless(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return NUMBER if isinstance(kind, Integer) else LONGTEXT(charset="utf8mb4")


class UpdateGiven(Executable, ClauseElement):
    """UPDATE of the rows that the rows given match."""

    inherit_cache = False

    def __init__(
        self, rows: GivenRows, table: Table, match: Sequence[ColumnElement[bool]], values: Columns
    ) -> None:
        self.joined = _joined(rows, table, match)
        self.values = [(table.c[name], value) for name, value in values.items()]


class DeleteGiven(Executable, ClauseElement):
    """DELETE of the rows that the rows given match."""

    inherit_cache = False

    def __init__(self, rows: GivenRows, table: Table, match: Sequence[ColumnElement[bool]]) -> None:
        self.table = table
        self.joined = _joined(rows, table, match)


def _joined(rows: GivenRows, table: Table, match: Sequence[ColumnElement[bool]]) -> Join:
    """Join from the rows given to the table, by its key.

    An outer join, because the server then keeps this order: in an inner join of a small table it
    reads, and locks, each of its rows. Rows given that match none change nothing.
    """
    return rows.table.outerjoin(table, and_(*match))


@compiles(UpdateGiven, "mysql", "mariadb")
def _update(update: UpdateGiven, compiler: SQLCompiler, **options: Any) -> str:
    joined = compiler.process(update.joined, asfrom=True, **options)
    values = [
        f"{compiler.process(column, **options)} = {compiler.process(value, **options)}"
        for column, value in update.values
    ]
    return f"UPDATE {joined} SET {', '.join(values)}"  # noqa: S608  # compiled parts: values are bound


@compiles(DeleteGiven, "mysql", "mariadb")
def _delete(delete: DeleteGiven, compiler: SQLCompiler, **options: Any) -> str:
    joined = compiler.process(delete.joined, asfrom=True, **options)
    return f"DELETE {compiler.preparer.format_table(delete.table)} FROM {joined}"
