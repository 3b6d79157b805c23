"""What a transaction is about to write: each write is decided as if those before it stood, and all
are applied together.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Awaits,
    Conflict,
    Event,
    KeyUsed,
    NewRun,
    NewTimeout,
    OutgoingEvent,
    Position,
    RunId,
    RunState,
    Stored,
    Version,
    Write,
    WriteResult,
    check_write,
)
from workflow_ray_adapters.sql import positions
from workflow_ray_adapters.sql.counters import CountKey
from workflow_ray_adapters.sql.rows import AT_ONCE, CARRIED, Values, event_row, from_headers, micros, resting

MICROSECONDS = 1_000_000
NO_TIMEOUT: Mapping[str, None] = {"timeout_name": None, "timeout_workflow": None, "timeout_due_at": None}


class Found(NamedTuple):
    """A run as the transaction finds it."""

    version: Version
    workflow: str
    status: int
    run_state: int
    partition: int
    awaiting: int | None


@dataclass
class Existing:
    """What the writes meet in the store. A run that isn't in `runs` doesn't exist."""

    runs: dict[RunId, Found]
    keys: dict[tuple[str, str], RunId]  # (workflow, idempotency key) -> the run that used it first
    unfinished: dict[tuple[str, str], RunId]  # (workflow, foreign id) -> its unfinished run


@dataclass
class WriteBatch:
    """The rows to be written; of `inserts` and `updates` one a run, whatever its writes."""

    existing: Existing
    now: int
    inserts: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    updates: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    keys: list[Values] = field(default_factory=list[Values])
    history: list[Values] = field(default_factory=list[Values])
    outbox: list[Values] = field(default_factory=list[Values])
    timeouts: dict[tuple[RunId, Version, str], Values] = field(default_factory=dict[tuple[RunId, Version, str], Values])
    positions: dict[tuple[str, int], Position] = field(default_factory=dict[tuple[str, int], Position])
    counts: Counter[CountKey] = field(default_factory=Counter[CountKey])  # how many more, or fewer, runs stand so
    at_rest: set[RunId] = field(default_factory=set[RunId])  # runs that now take no step by themselves

    def __post_init__(self) -> None:
        self._holders = {run_id: key for key, run_id in self.existing.unfinished.items()}

    # --- staging ---------------------------------------------------------------------------------

    def stage(self, write: Write, *, timeouts_apart: bool = False) -> WriteResult:
        """The answer to a write; where it is Stored, its rows are staged. A repeat gets a Conflict
        here.
        """
        check_write(write)
        found = self.existing.runs.get(write.run_id)
        version = found.version if found else NO_VERSION
        if version != write.expected:
            return Conflict(write.run_id, version)
        if write.new is not None and (taken := self._taken(write.run_id, write.new)):
            return taken
        state = self._stage(write, found)
        for outgoing in write.events:
            self._send(write, state, outgoing)
        for timeout in write.timeouts:
            self._stage_timeout(write, timeout, apart=timeouts_apart)
        return Stored(write.run_id, state["version"])

    def stage_position(self, position: Position) -> None:
        """Of two for one partition what they come to together."""
        key = (position.group, position.partition)
        self.positions[key] = positions.merged(self.positions.get(key), position)

    def stage_event(self, event: Event) -> None:
        """Have an event sent that does not belong to a write."""
        self.outbox.append({**event_row(event), "due_at": AT_ONCE, **NO_TIMEOUT})

    # --- how -------------------------------------------------------------------------------------

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        if new.idempotency_key is not None and (first := self.existing.keys.get((new.workflow, new.idempotency_key))):
            return KeyUsed(run_id, first)
        if active := self.existing.unfinished.get((new.workflow, new.foreign_id)):
            return ActiveRun(run_id, active)
        return None

    def _stage(self, write: Write, found: Found | None) -> Values:
        """Its record's and its history's rows; what the record's columns become by it."""
        run_id = write.run_id
        state = _state(write, _partition(write, found), self.now)
        at_rest = state["run_state"] >= RunState.PAUSED
        finished = at_rest and write.run_state.finished
        if at_rest:
            self.at_rest.add(run_id)
        self.history.append(_entry(write, state))
        if write.new is not None:
            self._create(write, write.new, state, finished)
        elif run_id in self.inserts:
            self._amend(write, state, finished)
        else:
            self._change(write, state, finished, found)
        if finished and (key := self._holders.pop(run_id, None)):
            del self.existing.unfinished[key]
        self._count(write, state, found)
        return state

    def _count(self, write: Write, state: Values, found: Found | None) -> None:
        if found:
            workflow, partition = found.workflow, found.partition
            self.counts[workflow, found.status, found.run_state] -= 1
        else:
            workflow, partition = _first(write).workflow, _first(write).partition
        self.counts[workflow, write.status, state["run_state"]] += 1
        now = Found(state["version"], workflow, write.status, state["run_state"], partition, state["awaiting"])
        self.existing.runs[write.run_id] = now

    def _create(self, write: Write, new: NewRun, row: Values, finished: bool) -> None:
        key = (new.workflow, new.foreign_id)
        self.existing.unfinished[key] = write.run_id
        self._holders[write.run_id] = key
        if new.idempotency_key is not None:
            self.existing.keys[new.workflow, new.idempotency_key] = write.run_id
            self.keys.append({"workflow": new.workflow, "idempotency_key": new.idempotency_key, "run_id": write.run_id})
        self.inserts[write.run_id] = row
        row |= {
            "run_id": write.run_id,
            "workflow": new.workflow,
            "foreign_id": new.foreign_id,
            "partition_no": new.partition,
            "data": write.data,
            "idempotency_key": new.idempotency_key,
            "awaited": row["new_awaited"] or NO_VERSION,
            "created_at": self.now,
            "unfinished": None if finished else new.foreign_id,
        }

    def _amend(self, write: Write, state: Values, finished: bool) -> None:
        """The next version of a run that is new in this transaction."""
        row = self.inserts[write.run_id]
        row |= state
        if write.asks:
            row["awaited"] = state["version"]
        if write.data is not None:
            row["data"] = write.data
        if finished:
            row["unfinished"] = None

    def _change(self, write: Write, row: Values, finished: bool, found: Found | None) -> None:
        before = self.updates.get(write.run_id)
        self.updates[write.run_id] = row
        row["run"] = write.run_id
        row["before"] = before["before"] if before else write.expected
        row["new_data"] = before["new_data"] if before and write.data is None else write.data
        if before and row["new_awaited"] is None:
            row["new_awaited"] = before["new_awaited"]
        goes_on = found is not None and found.awaiting is not None and row["awaiting"] is not None
        row["is_finished"] = finished
        row["is_indexed"] = not goes_on or bool(before and before["is_indexed"])

    def _send(self, write: Write, state: Values, outgoing: OutgoingEvent) -> None:
        self.outbox.append(
            {
                "topic": outgoing.topic,
                "partition_no": outgoing.partition,
                "run_id": write.run_id,
                "version": state["version"],
                "status": write.status,
                "due_at": self.now + round(outgoing.delay * MICROSECONDS) if outgoing.delay > 0 else AT_ONCE,
                "headers": from_headers(outgoing.headers),
                **NO_TIMEOUT,
            }
        )

    def _stage_timeout(self, write: Write, timeout: NewTimeout, *, apart: bool) -> None:
        due_at = micros(timeout.at) if timeout.at is not None else self.now + round((timeout.after or 0.0) * MICROSECONDS)
        if apart:
            self.outbox.append(
                {
                    "topic": "",
                    "partition_no": timeout.partition,
                    "run_id": write.run_id,
                    "version": write.visit,
                    "status": write.status,
                    "due_at": CARRIED,
                    "headers": None,
                    "timeout_name": timeout.name,
                    "timeout_workflow": timeout.workflow,
                    "timeout_due_at": due_at,
                }
            )
            return
        row = {
            "run_id": write.run_id,
            "visit": write.visit,
            "name": timeout.name,
            "workflow": timeout.workflow,
            "status": write.status,
            "partition_no": timeout.partition,
            "due_at": due_at,
            "completed": False,
            "completed_at": None,
        }
        self.timeouts.setdefault((write.run_id, write.visit, timeout.name), row)


def _first(write: Write) -> NewRun:
    assert write.new, "check_write has refused it"
    return write.new


def _partition(write: Write, found: Found | None) -> int:
    return found.partition if found else _first(write).partition


def _state(write: Write, partition: int, now: int) -> Values:
    version, awaits, run_state = write.expected + 1, int(write.awaits), int(write.run_state)  # a driver takes long over an Enum
    awaits_event = awaits == Awaits.EVENT and run_state < RunState.PAUSED  # a run at rest awaits none, whatever is written
    return {
        "status": write.status,
        "run_state": run_state,
        "version": version,
        "visit": write.visit,
        "attempt": write.attempt,
        "cause": int(write.cause),
        "reason": write.reason,
        "awaits": awaits,
        "new_awaited": version if write.asks else None,
        "awaiting": partition if awaits_event else None,
        "resting": None if awaits_event else resting(write.status, run_state),
        "updated_at": now,
    }


def _entry(write: Write, state: Values) -> Values:
    return {
        "run_id": write.run_id,
        "version": state["version"],
        "status": write.status,
        "run_state": state["run_state"],
        "cause": state["cause"],
        "written_by": write.by,
        "reason": write.reason,
        "written_at": state["updated_at"],
        "write_id": write.write_id,
        "data": write.data,
    }
