"""Reads runs as they were at an earlier version."""

from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.standing import read_record
from workflow_ray.definition import Run, Status
from workflow_ray.engine.past import read_as_of
from workflow_ray.engine.runs import view_of
from workflow_ray.errors import InvalidInput
from workflow_ray.records import Record, RunId, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


async def run_at(connection: Connection[D, S], run_id: RunId, version: Version) -> Run[D, S]:
    """Return the run as it was at a version, which it had; as it stands if that was removed.

    Raises RunNotFound.
    """
    record = await _not_older(connection, run_id, version)
    if record.version != version:
        # None: retention has removed it, and the newest version is left
        record = await _as_of(connection, record, version) or record
    return view_of(connection.workflow, record)


async def record_at(connection: Connection[D, S], run_id: RunId, version: Version) -> Record:
    """Return the record as it was at a version.

    Raises:
        RunNotFound: The run does not exist.
        InvalidInput: The run has no such version, or its history does not have it any more.
    """
    record = await _not_older(connection, run_id, version)
    if record.version == version:
        return record
    if record.version < version:
        raise InvalidInput(
            "version", f"run {run_id} has no version {version}: its newest is {record.version}"
        )
    past = await _as_of(connection, record, version)
    if past is None:
        raise InvalidInput(
            "version", f"the history of run {run_id} does not have version {version} any more"
        )
    return past


async def _not_older(connection: Connection[D, S], run_id: RunId, version: Version) -> Record:
    """Read the record, again if it was read from an old snapshot. Raises RunNotFound."""
    record = await read_record(connection, run_id, connection.records)
    if record.version < version:
        record = await read_record(connection, run_id, connection.records, fresh=True)
    return record


async def _as_of(connection: Connection[D, S], record: Record, version: Version) -> Record | None:
    return await read_as_of(record, partial(connection.records.history, record.run_id), version)
