"""Read runs. Each function runs in one snapshot."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Column,
    ColumnElement,
    Subquery,
    UnaryExpression,
    asc,
    bindparam,
    func,
    select,
)

from workflow_ray.records import BATCH_DATA, HistoryEntry, Record, RunId, RunState, Version
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.rows import ENTRY, RECORD, to_entry, to_record
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import history as entries
from workflow_ray_adapters.sql.tables import records

Order: TypeAlias = Callable[[ColumnElement[Any]], UnaryExpression[Any]]
Limit: TypeAlias = int | BindParameter[int]


def lookup(session: Session, run_ids: Sequence[RunId]) -> list[Record | None]:
    """Return the records of the first run ids, one at least, whose data makes a batch."""
    return _records(session, _first_batch(session, run_ids) if len(run_ids) > 1 else run_ids)


def _records(session: Session, run_ids: Sequence[RunId]) -> list[Record | None]:
    found = {
        record.run_id: record for record in map(to_record, session.rows(_lookup, run_ids=run_ids))
    }
    return [found.get(run_id) for run_id in run_ids]


def _first_batch(session: Session, run_ids: Sequence[RunId]) -> list[RunId]:
    """Return the first run ids whose data makes a batch. The sizes are added up before any data is
    read.
    """
    sizes: dict[RunId, int] = dict(session.rows(_sizes, run_ids=run_ids))
    before = accumulate((sizes.get(run_id, 0) for run_id in run_ids), initial=0)
    return [run_id for run_id, size in zip(run_ids, before, strict=False) if size <= BATCH_DATA]


def _sizes(dialect: Dialect) -> ClauseElement:
    return select(records.c.run_id, func.length(records.c.data)).where(
        dialect.among(records.c.run_id, "run_ids")
    )


def _lookup(dialect: Dialect) -> ClauseElement:
    return select(*RECORD).where(dialect.among(records.c.run_id, "run_ids"))


def latest(session: Session, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
    rows = session.rows(_latest, workflow=workflow, foreign_ids=foreign_ids)
    found = {record.foreign_id: record for record in map(to_record, rows)}
    return [found.get(foreign_id) for foreign_id in foreign_ids]


def _latest(dialect: Dialect) -> ClauseElement:
    newest = (
        select(func.max(records.c.run_id))
        .where(
            records.c.workflow == bindparam("workflow"),
            dialect.among(records.c.foreign_id, "foreign_ids"),
        )
        .group_by(records.c.foreign_id)
    )
    return select(*RECORD).where(records.c.run_id.in_(newest))


def history(session: Session, run_id: RunId, after: Version, limit: int) -> list[HistoryEntry]:
    return [to_entry(row) for row in session.rows(_history, run_id=run_id, after=after, most=limit)]


def _history(_: Dialect) -> ClauseElement:
    run_id, version = entries.c.run_id, entries.c.version
    filters = [run_id == bindparam("run_id"), version > bindparam("after")]
    page = _page(version, entries.c.data, filters, asc, bindparam("most"))
    return select(*ENTRY).join(page, page.c.key == version).where(filters[0]).order_by(version)


def _page(
    key: Column[Any],
    data: Column[Any],
    filters: Sequence[ColumnElement[bool]],
    by: Order,
    limit: Limit,
) -> Subquery:
    """Find the keys of up to `limit` rows whose data makes a page. The sizes are added up first, so
    that no data beyond it is read.
    """
    size = func.coalesce(func.length(data), 0)
    sized = (
        select(key.label("key"), size.label("size"))
        .where(*filters)
        .order_by(by(key))
        .limit(limit)
        .subquery("sized")
    )
    before = func.sum(sized.c.size).over(order_by=by(sized.c.key)) - sized.c.size
    summed = select(sized.c.key, before.label("before")).subquery("summed")
    return select(summed.c.key).where(summed.c.before <= BATCH_DATA).subquery("page")


def newer(session: Session, seen: Mapping[RunId, Version], at_rest: bool) -> list[Record]:
    """Return the records above the versions seen, by run id, or only those at rest. The data of the
    others is not read.
    """
    changed: list[RunId] = []
    size = 0
    for run_id, version, run_state, length in session.rows(_versions, run_ids=list(seen)):
        if (
            size <= BATCH_DATA
            and version > seen[run_id]
            and (RunState(run_state).at_rest or not at_rest)
        ):
            changed.append(run_id)
            size += length
    return (
        [record for record in _records(session, changed) if record is not None] if changed else []
    )


def _versions(dialect: Dialect) -> ClauseElement:
    columns = (
        records.c.run_id,
        records.c.version,
        records.c.run_state,
        func.length(records.c.data),
    )
    return (
        select(*columns)
        .where(dialect.among(records.c.run_id, "run_ids"))
        .order_by(records.c.run_id)
    )
