"""Where a run stands, for the errors of waits and callbacks."""

from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.flow_limits import admitted_at
from workflow_ray.client.history import Entry
from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.awaited import awaited, awaited_when_delayed, awaited_when_parked
from workflow_ray.engine.delays import due_steps, due_times
from workflow_ray.engine.runs import status_name
from workflow_ray.errors import RunNotFound, WaitTimeout, WorkflowError
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    HistoryEntry,
    Message,
    MessageQuery,
    Record,
    RunId,
    RunState,
    Version,
)

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

PAGE = 1000
"""The largest number of history entries that are read at once."""
SHOWN = 5
"""The number of history entries that a WaitTimeout shows."""


def standing(workflow: Workflow[D, S], status: int, run_state: RunState) -> str:
    """Return where a run stands, such as "AWAITING_PAYMENT, RUNNING"."""
    return f"{status_name(workflow, status)}, {run_state.name}"


async def read_record(
    connection: Connection[D, S], run_id: RunId, records: RecordStore, *, fresh: bool = False
) -> Record:
    """Read a run of the workflow. Raises RunNotFound."""
    (record,) = await records.lookup([run_id], fresh=fresh)
    if record is None or record.workflow != connection.workflow.name:
        raise RunNotFound(connection.workflow.name, run_id)
    return record


async def read_entries(
    records: RecordStore, run_id: RunId, upto: Version, *, after: Version = NO_VERSION
) -> list[HistoryEntry]:
    """Read the entries of the versions above `after`, up to `upto` at least."""
    entries: list[HistoryEntry] = []
    while after < upto and (read := await records.history(run_id, after=after, limit=PAGE)):
        entries += read
        after = read[-1].version
    return entries


async def read_failed(records: RecordStore, run_id: RunId) -> list[Message]:
    """Read the run's messages that have failed for good: they made no version."""
    return await records.messages(MessageQuery(run_ids=(run_id,), failed=True))


async def timed_out(
    connection: Connection[D, S], run_id: RunId, wanted: str, seconds: float, note: str = ""
) -> WaitTimeout:
    """Make the error of a wait whose time is over. It shows where the run stands.

    Args:
        connection: The store of the run.
        run_id: The run.
        wanted: What the wait was for.
        seconds: The time that it had.
        note: A sentence for the error, without a full stop.
    """
    record = await read_record(connection, run_id, connection.impatient)
    before = Version(max(NO_VERSION, record.version - SHOWN))
    last = await read_entries(connection.impatient, run_id, record.version, after=before)
    history = [str(Entry(connection.workflow, entry)) for entry in last]
    sentences = [
        await _awaited(connection, record, last),
        await connection.attendance.excuse(record),
        note,
    ]
    excuse = ". ".join(f"{each[:1].upper()}{each[1:]}" for each in sentences if each)
    return WaitTimeout(run_id, wanted, seconds, history, excuse)


async def _awaited(
    connection: Connection[D, S], record: Record, entries: list[HistoryEntry]
) -> str:
    """Return a sentence about what the run waits for; "": it goes on by itself, or is finished."""
    if record.parked and not record.run_state.at_rest:
        return await _awaited_when_parked(connection, record)
    if steps := due_steps([record]):
        due = due_times(await connection.impatient.activity(steps=steps))
        return f"it waits for {awaited_when_delayed(due[record.run_id])}" if due else ""
    entered_at = next((each.at for each in entries if each.version == record.visit), None)
    if entered_at is None and record.awaits is Awaits.MESSAGE:
        with suppress(WorkflowError):
            before = Version(record.visit - 1)
            (entry,) = await connection.impatient.history(record.run_id, after=before, limit=1)
            entered_at = entry.at
    text = awaited(
        connection.workflow.checked(),
        _status(connection.workflow, record),
        record,
        entered_at=entered_at,
    )
    return f"it waits for {text}" if text else ""


async def _awaited_when_parked(connection: Connection[D, S], record: Record) -> str:
    """Return a sentence with the limits that apply now, and the runs that they concern."""
    records, name = connection.impatient, connection.workflow.name
    status = status_name(connection.workflow, record.status)
    deployed = [each for each in (await records.deployment()).workflows if each.name == name]
    # None: it is not deployed yet, or was removed
    limits = deployed[0].limits_at(status) if deployed else None
    text = f"it waits for {awaited_when_parked(limits)}"
    admitted = await admitted_at(records, name, record.status)
    return f"{text}; {admitted:,} {'holds' if admitted == 1 else 'hold'} a slot now"


def _status(workflow: Workflow[Any, S], record: Record) -> S | None:
    try:
        return workflow.status_of(record.status)
    except KeyError:
        return None
