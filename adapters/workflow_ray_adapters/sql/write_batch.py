"""What a transaction is about to write. Each write is decided as if the earlier ones were stored,
and all are applied together.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Conflict,
    Event,
    KeyUsed,
    NewRun,
    NewTimeout,
    Position,
    RunId,
    Stored,
    Version,
    Write,
    WriteResult,
    check_write,
)
from workflow_ray_adapters.sql import positions
from workflow_ray_adapters.sql.counters import CountKey
from workflow_ray_adapters.sql.rows import (
    AT_ONCE,
    Values,
    event_row,
)
from workflow_ray_adapters.sql.staged_rows import (
    CANCELLED,
    PAUSED,
    carried_timeout_row,
    history_row,
    outgoing_row,
    record_row,
    timeout_row,
)

Positions: TypeAlias = dict[tuple[str, int], Position]  # by group and partition


class Found(NamedTuple):
    """A run as the transaction finds it."""

    run_id: RunId
    version: Version
    workflow: str
    status: int
    run_state: int
    partition: int
    awaiting: int | None


@dataclass
class Existing:
    """What the store holds of the runs and keys that are written. A run that is not in `runs` does
    not exist.
    """

    runs: dict[RunId, Found]
    # (workflow, idempotency key) -> the run that used it first, its digest
    keys: dict[tuple[str, str], tuple[RunId, bytes | None]]
    unfinished: dict[tuple[str, str], RunId]  # (workflow, foreign id) -> its unfinished run


@dataclass
class WriteBatch:
    """The rows to be written. `inserts` and `updates` have one row for each run, whatever its
    writes.
    """

    existing: Existing
    now: int
    inserts: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    updates: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    keys: list[Values] = field(default_factory=list[Values])
    history: list[Values] = field(default_factory=list[Values])
    outbox: list[Values] = field(default_factory=list[Values])
    timeouts: dict[tuple[RunId, Version, str], Values] = field(
        default_factory=dict[tuple[RunId, Version, str], Values]
    )
    positions: list[Positions] = field(default_factory=lambda: [{}])  # written one after another
    # runs that now take no step by themselves
    at_rest: set[RunId] = field(default_factory=set[RunId])

    def __post_init__(self) -> None:
        self._holders = {run_id: key for key, run_id in self.existing.unfinished.items()}
        self._entered: list[CountKey] = []
        self._left: list[CountKey] = []

    @property
    def counts(self) -> dict[CountKey, int]:
        """Return how many more, or fewer, runs are in each state."""
        counts: dict[CountKey, int] = {}
        for keys, runs in ((self._entered, 1), (self._left, -1)):
            for key in keys:
                counts[key] = counts.get(key, 0) + runs
        return counts

    # --- staging --------------------------------------------------------------------------------

    def stage(self, write: Write, *, timeouts_apart: bool = False) -> WriteResult:
        """Decide a write and return its answer. If that is Stored, its rows are staged. A repeat
        gets a Conflict here.
        """
        check_write(write)
        found = self.existing.runs.get(write.run_id)
        version = found.version if found else NO_VERSION
        if version != write.expected:
            return Conflict(write.run_id, version)
        if write.new is not None and (taken := self._taken(write.run_id, write.new)):
            return taken
        version = Version(version + 1)
        self._stage(write, version, found)
        for outgoing in write.events:
            self.outbox.append(outgoing_row(write, version, outgoing, self.now))
        for timeout in write.timeouts:
            self._stage_timeout(write, timeout, apart=timeouts_apart)
        return Stored(write.run_id, version)

    def stage_position(self, position: Position) -> None:
        """Stage a position. Two for one partition are merged; but of two logs each is written,
        because merged the second would replace what was stored before both.
        """
        key = (position.group, position.partition)
        before = self.positions[-1].get(key)
        if before is not None and before.log != position.log:
            self.positions.append({})
            before = None
        self.positions[-1][key] = positions.merged(before, position)

    def stage_event(self, event: Event) -> None:
        """Stage an event that does not belong to a write."""
        self.outbox.append({**event_row(event), "due_at": AT_ONCE})

    # --- how ------------------------------------------------------------------------------------

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        if new.idempotency_key is not None and (
            used := self.existing.keys.get((new.workflow, new.idempotency_key))
        ):
            return KeyUsed(run_id, *used)
        if active := self.existing.unfinished.get((new.workflow, new.foreign_id)):
            return ActiveRun(run_id, active)
        return None

    def _stage(self, write: Write, version: Version, found: Found | None) -> None:
        """Stage the rows of the record and of its history."""
        run_id = write.run_id
        origin = found or _first(write)
        row = record_row(write, version, origin.partition, self.now)
        run_state: int = row["run_state"]
        self.history.append(history_row(write, row))
        if write.new is not None:
            self._create(write, write.new, row)
        elif run_id in self.inserts:
            self._amend(write, row)
        else:
            self._change(write, row, found)
        if run_state >= PAUSED:
            self.at_rest.add(run_id)
            if run_state >= CANCELLED and (key := self._holders.pop(run_id, None)):
                del self.existing.unfinished[key]
        self.existing.runs[run_id] = Found(
            run_id,
            version,
            origin.workflow,
            write.status,
            run_state,
            origin.partition,
            row["awaiting"],
        )
        self._entered.append((origin.workflow, write.status, run_state))
        if found:
            self._left.append((origin.workflow, found.status, found.run_state))

    def _create(self, write: Write, new: NewRun, row: Values) -> None:
        key = (new.workflow, new.foreign_id)
        self.existing.unfinished[key] = write.run_id
        self._holders[write.run_id] = key
        if new.idempotency_key is not None:
            self.existing.keys[new.workflow, new.idempotency_key] = (write.run_id, new.digest)
            self.keys.append(
                {
                    "workflow": new.workflow,
                    "idempotency_key": new.idempotency_key,
                    "run_id": write.run_id,
                    "digest": new.digest,
                }
            )
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
            "unfinished": None if row["is_finished"] else new.foreign_id,
        }

    def _amend(self, write: Write, changed: Values) -> None:
        """Stage the next version of a run that is new in this transaction."""
        row = self.inserts[write.run_id]
        row |= changed
        if write.asks:
            row["awaited"] = changed["version"]
        if write.data is not None:
            row["data"] = write.data
        if changed["is_finished"]:
            row["unfinished"] = None

    def _change(self, write: Write, row: Values, found: Found | None) -> None:
        goes_on = found is not None and found.awaiting is not None and row["awaiting"] is not None
        row["is_indexed"] = not goes_on
        if before := self.updates.get(write.run_id):
            row["before"] = before["before"]
            row["is_indexed"] |= before["is_indexed"]
            for name in ("new_data", "new_awaited"):
                if row[name] is None:
                    row[name] = before[name]
        self.updates[write.run_id] = row

    def _stage_timeout(self, write: Write, timeout: NewTimeout, *, apart: bool) -> None:
        if apart:
            self.outbox.append(carried_timeout_row(write, timeout, self.now))
        else:
            key = (write.run_id, write.visit, timeout.name)
            self.timeouts.setdefault(key, timeout_row(write, timeout, self.now))


def _first(write: Write) -> NewRun:
    assert write.new, "check_write has refused it"
    return write.new
