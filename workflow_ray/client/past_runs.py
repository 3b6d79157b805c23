"""Reads runs as they were at an earlier version."""

from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.standing import read_record
from workflow_ray.definition import Run, Status
from workflow_ray.engine.past import as_of, read_back
from workflow_ray.engine.runs import view_of
from workflow_ray.ports import RecordStore
from workflow_ray.records import HistoryEntry, RunId, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


async def run_at(connection: Connection[D, S], run_id: RunId, version: Version) -> Run[D, S]:
    """Return the run as it was at a version. Raises RunNotFound."""
    records = connection.records
    record = await read_record(connection, run_id, records)
    if record.version < version:  # it was read from an old snapshot
        record = await read_record(connection, run_id, records, fresh=True)
    if record.version != version:
        record = as_of(record, await read_back(partial(_read, records, run_id), version))
    return view_of(connection.workflow, record)


async def _read(
    records: RecordStore, run_id: RunId, after: Version, limit: int
) -> list[HistoryEntry]:
    return await records.history(run_id, after=after, limit=limit)
