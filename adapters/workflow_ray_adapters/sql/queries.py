"""What is read of runs. Each function is to run in one snapshot."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ClauseElement, ColumnElement, bindparam, func, select

from workflow_ray.records import HistoryEntry, Position, Record, RunCount, RunId, RunQuery, RunState, Version
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.rows import ENTRY, RECORD, micros, to_entry, to_record
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import history as entries
from workflow_ray_adapters.sql.tables import positions as reached
from workflow_ray_adapters.sql.tables import records


def lookup(session: Session, run_ids: Sequence[RunId]) -> list[Record | None]:
    found = {record.run_id: record for record in map(to_record, session.rows(_lookup, run_ids=run_ids))}
    return [found.get(run_id) for run_id in run_ids]


def _lookup(dialect: Dialect) -> ClauseElement:
    return select(*RECORD).where(records.c.run_id.in_(dialect.listed("run_ids")))


def latest(session: Session, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
    rows = session.rows(_latest, workflow=workflow, foreign_ids=foreign_ids)
    found = {record.foreign_id: record for record in map(to_record, rows)}
    return [found.get(foreign_id) for foreign_id in foreign_ids]


def _latest(dialect: Dialect) -> ClauseElement:
    newest = (
        select(func.max(records.c.run_id))
        .where(records.c.workflow == bindparam("workflow"), records.c.foreign_id.in_(dialect.listed("foreign_ids")))
        .group_by(records.c.foreign_id)
    )
    return select(*RECORD).where(records.c.run_id.in_(newest))


def runs(session: Session, query: RunQuery) -> list[Record]:
    order = records.c.run_id.desc() if query.newest_first else records.c.run_id
    statement = select(*RECORD).where(*_filters(query)).order_by(order).limit(query.limit)
    return [to_record(row) for row in session.connection.execute(statement)]


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


def counts(session: Session, workflow: str) -> list[RunCount]:
    stand = (records.c.status, records.c.run_state)
    rows = session.connection.execute(select(*stand, func.count()).where(records.c.workflow == workflow).group_by(*stand).order_by(*stand))
    return [RunCount(status, RunState(run_state), number) for status, run_state, number in rows]


def history(session: Session, run_id: RunId, after: Version, limit: int) -> list[HistoryEntry]:
    statement = select(*ENTRY).where(entries.c.run_id == run_id, entries.c.version > after).order_by(entries.c.version).limit(limit)
    return [to_entry(row) for row in session.connection.execute(statement)]


def newer(session: Session, seen: Mapping[RunId, Version], at_rest: bool) -> list[Record]:
    """The records above the versions seen, by run id; or only those at rest. The data of the others isn't read."""
    rows = session.rows(_versions, run_ids=list(seen))
    changed = [run for run, version, run_state in rows if version > seen[run] and (RunState(run_state).at_rest or not at_rest)]
    return [record for record in lookup(session, sorted(changed)) if record is not None] if changed else []


def _versions(dialect: Dialect) -> ClauseElement:
    return select(records.c.run_id, records.c.version, records.c.run_state).where(records.c.run_id.in_(dialect.listed("run_ids")))


def positions(session: Session, group: str) -> list[Position]:
    rows = session.connection.execute(
        select(reached.c.partition_no, reached.c.stream_offset).where(reached.c.role_group == group).order_by(reached.c.partition_no)
    )
    return [Position(group, partition, offset) for partition, offset in rows]
