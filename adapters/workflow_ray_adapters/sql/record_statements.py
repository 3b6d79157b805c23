"""The statements that write records, idempotency keys and history."""

from collections.abc import Container
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Table, func, null

from workflow_ray_adapters.sql.dialect import Columns, Dialect
from workflow_ray_adapters.sql.rows import Values
from workflow_ray_adapters.sql.tables import history, idempotency_keys, records


def await_(dialect: Dialect) -> ClauseElement:
    """Update for a run that awaits something else, without a version."""
    changing = {"awaits": records.c.awaits, **INDEXED}
    return dialect.update(
        records,
        {"run": records.c.run_id, **changing},
        lambda row, new: (row.run_id == new["run"],),
        lambda _, new: {name: new[name] for name in changing},
    )


def mark(dialect: Dialect) -> ClauseElement:
    return dialect.update(
        records,
        {"run": records.c.run_id, "given": records.c.marks},
        lambda row, new: (row.run_id == new["run"],),
        lambda _, new: {"marks": new["given"]},
    )


def go_on(dialect: Dialect) -> ClauseElement:
    """Update for a step that leads to a step. It has a statement of its own, because the others
    cost indexes that this one leaves alone.
    """
    return _update(dialect, {})


def settle(dialect: Dialect) -> ClauseElement:
    return _update(dialect, INDEXED)


def finish(dialect: Dialect) -> ClauseElement:
    """Update for a run that ends, which frees its foreign id."""
    return _update(dialect, INDEXED, unfinished=null())


def rewrite(dialect: Dialect) -> ClauseElement:
    """Update for a run with labels, another version of the data, or flow control."""
    return _update(dialect, INDEXED | FLOW, KEPT | EXTENSIONS)


def finish_rewritten(dialect: Dialect) -> ClauseElement:
    """As `rewrite`, for a run that ends."""
    return _update(dialect, INDEXED | FLOW, KEPT | EXTENSIONS, unfinished=null())


PLAIN = {
    name: records.c[name]
    for name in (
        "status",
        "run_state",
        "version",
        "visit",
        "attempt",
        "cause",
        "reason",
        "awaits",
        "awaited",
        "updated_at",
    )
}
INDEXED = {name: records.c[name] for name in ("awaiting", "resting")}
FLOW = {name: records.c[name] for name in ("parked", "parking_key", "parking_rank", "lane")}
KEPT = {"new_data": records.c.data}
EXTENSIONS = {name: records.c[name] for name in ("labels", "data_version")}
"""Where the value given is NULL, the stored one stays, as of KEPT."""


def _update(
    dialect: Dialect, indexed: Columns, kept: Columns = KEPT, **fixed: ColumnElement[Any]
) -> ClauseElement:
    changing = {**PLAIN, **indexed}

    def change(row: Any, new: Any) -> Columns:
        return {
            **{name: new[name] for name in changing},
            **{
                column.name: func.coalesce(new[name], row[column.name])
                for name, column in kept.items()
            },
            **fixed,
        }

    return dialect.update(
        records,
        {"run": records.c.run_id, "before": records.c.version, **changing, **kept},
        lambda row, new: (row.run_id == new["run"], row.version == new["before"]),
        change,
    )


def insert_record(dialect: Dialect) -> ClauseElement:
    """Insert without marks, which have a default, and without what few runs have."""
    return dialect.insert(records, *_names(records, {"marks", *EXTENSIONS, *FLOW}))


def insert_extended_record(dialect: Dialect) -> ClauseElement:
    return dialect.insert(records, *_names(records, {"marks"}))


def insert_key(dialect: Dialect) -> ClauseElement:
    return dialect.insert(idempotency_keys)


def insert_entry(dialect: Dialect) -> ClauseElement:
    return dialect.insert(history, *_names(history, DETAILS))


def insert_detailed_entry(dialect: Dialect) -> ClauseElement:
    return dialect.insert(history)


DETAILS: Values = dict.fromkeys(("data_version", "error"))
"""What few entries have."""


def _names(table: Table, left_out: Container[str]) -> list[str]:
    return [column.name for column in table.c if column.name not in left_out]
