"""What is read of runs. Each function is to run in one snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from workflow_ray.records import HistoryEntry, Position, Record, RunCount, RunId, RunQuery, RunState, Version
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.rows import ENTRY, RECORD, micros, to_entry, to_record
from workflow_ray_adapters.sql.tables import history as entries
from workflow_ray_adapters.sql.tables import positions as reached
from workflow_ray_adapters.sql.tables import records


def lookup(connection: Connection, dialect: Dialect, run_ids: Sequence[RunId]) -> list[Record | None]:
    found: dict[RunId, Record] = {}
    for part in dialect.slices(run_ids):
        rows = connection.execute(select(*RECORD).where(records.c.run_id.in_(part)))
        found.update({record.run_id: record for record in map(to_record, rows)})
    return [found.get(run_id) for run_id in run_ids]


def latest(connection: Connection, dialect: Dialect, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
    found: dict[str, Record] = {}
    for part in dialect.slices(foreign_ids):
        newest = (
            select(func.max(records.c.run_id))
            .where(records.c.workflow == workflow, records.c.foreign_id.in_(part))
            .group_by(records.c.foreign_id)
        )
        rows = connection.execute(select(*RECORD).where(records.c.run_id.in_(newest)))
        found.update({record.foreign_id: record for record in map(to_record, rows)})
    return [found.get(foreign_id) for foreign_id in foreign_ids]


def runs(connection: Connection, query: RunQuery) -> list[Record]:
    order = records.c.run_id.desc() if query.newest_first else records.c.run_id
    statement = select(*RECORD).where(*_filters(query)).order_by(order).limit(query.limit)
    return [to_record(row) for row in connection.execute(statement)]


def _filters(query: RunQuery) -> list[ColumnElement[bool]]:
    filters = [records.c.workflow == query.workflow]
    if query.statuses:
        filters.append(records.c.status.in_(query.statuses))
    if query.run_states:
        filters.append(records.c.run_state.in_(query.run_states))
    if query.foreign_id is not None:
        filters.append(records.c.foreign_id == query.foreign_id)
    if query.created_from is not None:
        filters.append(records.c.created_at >= micros(query.created_from))
    if query.created_before is not None:
        filters.append(records.c.created_at < micros(query.created_before))
    if query.after is not None:
        filters.append(records.c.run_id < query.after if query.newest_first else records.c.run_id > query.after)
    return filters


def counts(connection: Connection, workflow: str) -> list[RunCount]:
    stand = (records.c.status, records.c.run_state)
    rows = connection.execute(select(*stand, func.count()).where(records.c.workflow == workflow).group_by(*stand).order_by(*stand))
    return [RunCount(status, RunState(run_state), number) for status, run_state, number in rows]


def history(connection: Connection, run_id: RunId, after: Version, limit: int) -> list[HistoryEntry]:
    statement = select(*ENTRY).where(entries.c.run_id == run_id, entries.c.version > after).order_by(entries.c.version).limit(limit)
    return [to_entry(row) for row in connection.execute(statement)]


def newer(connection: Connection, dialect: Dialect, seen: Mapping[RunId, Version]) -> list[Record]:
    """The records above the versions seen, by run id. The data of the others isn't read."""
    changed: list[Any] = []
    for part in dialect.slices(sorted(seen)):
        versions = connection.execute(select(records.c.run_id, records.c.version).where(records.c.run_id.in_(part)))
        changed += [run_id for run_id, version in versions if version > seen[run_id]]
    return [record for record in lookup(connection, dialect, sorted(changed)) if record is not None]


def positions(connection: Connection, group: str) -> list[Position]:
    statement = select(reached.c.partition_no, reached.c.stream_offset).where(reached.c.role_group == group)
    return [Position(group, partition, offset) for partition, offset in connection.execute(statement.order_by(reached.c.partition_no))]
