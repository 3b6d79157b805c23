"""The rows that a write stages."""

import msgspec

from workflow_ray.records import Awaits, NewTimeout, OutgoingEvent, RunState, Version, Write
from workflow_ray_adapters.sql.rows import AT_ONCE, CARRIED, Values, from_headers, micros, resting

MICROSECONDS = 1_000_000
# a look-up of an Enum's member takes longer than what is done with it
PAUSED = int(RunState.PAUSED)
CANCELLED = int(RunState.CANCELLED)
EVENT = int(Awaits.EVENT)
MESSAGE = int(Awaits.MESSAGE)
PARKED = int(Awaits.PARKED)


def record_row(write: Write, version: Version, partition: int, now: int) -> Values:
    """Return the record's columns after a write, and what else an update needs."""
    awaits, run_state = int(write.awaits), int(write.run_state)  # a driver takes long over an Enum
    # a run at rest awaits none, whatever is written
    awaits_event = awaits == EVENT and run_state < PAUSED
    return {
        "run": write.run_id,
        "before": write.expected,
        "status": write.status,
        "run_state": run_state,
        "version": version,
        "visit": write.visit,
        "attempt": write.attempt,
        "cause": int(write.cause),
        "reason": write.reason,
        "awaits": awaits,
        "awaiting": partition if awaits_event else None,
        "resting": None if awaits_event else resting(write.status, run_state),
        "updated_at": now,
        "new_data": write.data,
        "awaited": version if write.asks else write.awaited,
        "is_indexed": True,
        "is_finished": run_state >= CANCELLED,
    }


def history_row(write: Write, row: Values) -> Values:
    """Return the history's entry for a write, from its record's row."""
    return {
        "run_id": write.run_id,
        "version": row["version"],
        "status": write.status,
        "run_state": row["run_state"],
        "cause": row["cause"],
        "written_by": write.by,
        "reason": write.reason,
        "written_at": row["updated_at"],
        "write_id": write.write_id,
        "data": write.data,
    }


def detailed_row(write: Write, row: Values) -> Values:
    """Return the history's entry with what few have."""
    error = write.error
    return row | {
        "data_version": None if write.data is None else write.data_version,
        "error": None if error is None else msgspec.json.encode(error).decode(),
    }


def outgoing_row(write: Write, version: Version, event: OutgoingEvent, now: int) -> Values:
    """Return the outbox's entry for an event of a write."""
    is_delayed = event.delay > 0
    return {
        "topic": event.topic,
        "partition_no": event.partition,
        "run_id": write.run_id,
        "version": version,
        "status": write.status,
        "due_at": now + round(event.delay * MICROSECONDS) if is_delayed else AT_ONCE,
        "headers": from_headers(event.headers),
    }


def timeout_row(write: Write, timeout: NewTimeout, now: int) -> Values:
    """Return the row of a timeout that this store holds."""
    return {
        "run_id": write.run_id,
        "visit": write.visit,
        "name": timeout.name,
        "workflow": timeout.workflow,
        "status": write.status,
        "partition_no": timeout.partition,
        "due_at": _due_at(timeout, now),
        "completed": False,
        "completed_at": None,
    }


def carried_timeout_row(write: Write, timeout: NewTimeout, now: int) -> Values:
    """Return the outbox's entry for a timeout that another store holds."""
    return {
        "topic": "",
        "partition_no": timeout.partition,
        "run_id": write.run_id,
        "version": write.visit,
        "status": write.status,
        "due_at": CARRIED,
        "headers": None,
        "timeout_name": timeout.name,
        "timeout_workflow": timeout.workflow,
        "timeout_due_at": _due_at(timeout, now),
    }


def _due_at(timeout: NewTimeout, now: int) -> int:
    if timeout.at is not None:
        return micros(timeout.at)
    return now + round((timeout.after or 0.0) * MICROSECONDS)
