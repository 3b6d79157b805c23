"""Reads runs as they were at an earlier version."""

from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.standing import read_entries, read_record
from workflow_ray.definition import Run, Status
from workflow_ray.engine.past import as_of, is_enough
from workflow_ray.engine.runs import view_of
from workflow_ray.records import HistoryEntry, RunId, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

AT_ONCE = 50
"""The number of versions that are read at once to find the data of one of them."""


async def run_at(connection: Connection[D, S], run_id: RunId, version: Version) -> Run[D, S]:
    """Return the run as it was at a version. Raises RunNotFound."""
    records = connection.records
    record = await read_record(connection, run_id, records)
    if record.version < version:  # it was read from an old snapshot
        record = await read_record(connection, run_id, records, fresh=True)
    if record.version != version:
        record = as_of(record, await _entries(connection, run_id, version))
    return view_of(connection.workflow, record)


async def _entries(
    connection: Connection[D, S], run_id: RunId, version: Version
) -> list[HistoryEntry]:
    """Read the versions up to this one, from one back at which `as_of` knows enough."""
    entries: list[HistoryEntry] = []
    end = version
    while end and not is_enough(entries):
        begin = Version(max(0, end - AT_ONCE))
        read = await read_entries(connection.records, run_id, end, after=begin)
        entries = [each for each in read if each.version <= end] + entries
        end = begin
    return entries
