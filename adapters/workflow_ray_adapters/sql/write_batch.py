"""What a transaction is about to write. Each write is decided as if the earlier ones were stored,
and all are applied together.
"""

from dataclasses import dataclass, field

from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Conflict,
    Event,
    KeyUsed,
    NewRun,
    NewTimeout,
    RunId,
    Stored,
    Version,
    Write,
    WriteResult,
    check_write,
    status_topic,
)
from workflow_ray_adapters.sql.counters import CountKey
from workflow_ray_adapters.sql.extensions import Extensions
from workflow_ray_adapters.sql.found import Existing, Found, make_found
from workflow_ray_adapters.sql.positions import Positions
from workflow_ray_adapters.sql.rows import (
    AT_ONCE,
    Values,
    event_row,
    resting,
)
from workflow_ray_adapters.sql.staged_rows import (
    EVENT,
    MESSAGE,
    MICROSECONDS,
    PARKED,
    PAUSED,
    carried_timeout_row,
    detailed_row,
    history_row,
    outgoing_row,
    record_row,
    timeout_row,
)


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
    marks: dict[RunId, int] = field(default_factory=dict[RunId, int])  # that have changed
    # what runs await by now, where it changes before their first write or without one
    waits: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    lost: list[Write] = field(default_factory=list[Write])  # those that got a Conflict
    # runs that now take no step by themselves
    at_rest: set[RunId] = field(default_factory=set[RunId])
    extensions: Extensions = field(default_factory=Extensions)
    has_details: bool = False  # some entries of the history have more than most
    # the versions before which all of the user's is cleared
    erased: dict[RunId, Version] = field(default_factory=dict[RunId, Version])

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
        return self.refusal(write, found) or self.put(write, found, timeouts_apart)

    def refusal(self, write: Write, found: Found | None) -> WriteResult | None:
        """Return the answer to a write that must not be made.

        Args:
            write: The write.
            found: Its run by now.
        """
        version = found.version if found else NO_VERSION
        if version != write.expected:
            self.lost.append(write)
            return Conflict(write.run_id, version)
        return None if write.new is None else self._taken(write.run_id, write.new)

    def put(self, write: Write, found: Found | None, timeouts_apart: bool) -> Stored:
        """Stage the rows of a write that nothing prevents.

        Args:
            write: The write.
            found: Its run by now.
            timeouts_apart: Whether another store holds its timeouts.
        """
        run_id, version = write.run_id, Version(write.expected + 1)
        origin = found or _first(write)
        row = record_row(write, version, origin.partition, self.now)
        run_state: int = row["run_state"]
        entry = history_row(write, row)
        if write.error is not None or write.data_version != 1:
            entry = detailed_row(write, entry)
            self.has_details = True
        self.history.append(entry)
        data_version = 1 if found is None or found.data_version is None else found.data_version
        if (
            write.parking is not None
            or write.labels is not None
            or (write.data is not None and write.data_version != data_version)
            or (found is not None and found.parked is not None)
            or run_id in self.extensions.runs
        ):
            staged = self.inserts.get(run_id) or self.updates.get(run_id)
            self.extensions.stage(write, row, origin.workflow, found, staged)
        if write.erases:
            self.erased[run_id] = version
        if write.new is not None:
            self._create(write, write.new, row)
        elif run_id in self.inserts:
            self._amend(write, row)
        else:
            self._change(write, row, found)
        if run_state >= PAUSED:
            self._rest(run_id, is_finished=row["is_finished"])
        self.existing.runs[run_id] = make_found(
            (
                run_id,
                version,
                origin.workflow,
                write.status,
                run_state,
                origin.partition,
                row["awaiting"],
                found.marks if found else 0,
                write.visit,
                row["awaited"],
                data_version if write.data is None else write.data_version,
                row.get("parked"),
            )
        )
        self._entered.append((origin.workflow, write.status, run_state))
        if found:
            self._left.append((origin.workflow, found.status, found.run_state))
        for outgoing in write.events:
            self.outbox.append(outgoing_row(write, version, outgoing, self.now))
        for timeout in write.timeouts:
            self._stage_timeout(write, timeout, apart=timeouts_apart)
        return Stored(run_id, version)

    def stage_event(self, event: Event, delay: float = 0.0) -> None:
        """Stage an event that does not belong to a write."""
        due_at = self.now + round(delay * MICROSECONDS) if delay > 0 else AT_ONCE
        self.outbox.append({**event_row(event), "due_at": due_at})

    def holder_key(self, run_id: RunId) -> tuple[str, str] | None:
        """Return workflow and foreign id of an unfinished run, if a new run asks for these."""
        return self._holders.get(run_id)

    def remove(self, run_id: RunId) -> None:
        """Count out a run that is to be removed. Nothing more can be staged for it."""
        run = self.existing.runs.pop(run_id)
        self._left.append((run.workflow, run.status, run.run_state))

    # --- what becomes of runs without a version -------------------------------------------------

    def mark(self, run_id: RunId, marks: int) -> None:
        """Change the marks of a run that exists."""
        self.existing.runs[run_id] = self.existing.runs[run_id]._replace(marks=marks)
        self.marks[run_id] = marks

    def await_event(self, run: Found) -> None:
        """Make the run await an event, unless it does."""
        if run.awaiting is None:
            self._await(run, EVENT, run.partition, None)

    def await_message(self, run: Found) -> None:
        """Make a run that awaits an event await a message, or what a parked one does."""
        awaits = PARKED if run.parked else MESSAGE
        self._await(run, awaits, None, resting(run.status, run.run_state))

    def ask(self, run: Found, due_at: int) -> None:
        """Stage an event that says that the run has a message."""
        topic = status_topic(run.workflow, run.status)
        event = Event(
            run_id=run.run_id,
            topic=topic,
            partition=run.partition,
            version=NO_VERSION,
            status=run.status,
        )
        self.outbox.append({**event_row(event), "due_at": due_at if due_at > self.now else AT_ONCE})

    def _await(self, run: Found, awaits: int, awaiting: int | None, rests: int | None) -> None:
        changed: Values = {"awaits": awaits, "awaiting": awaiting, "resting": rests}
        run_id = run.run_id
        if row := self.inserts.get(run_id) or self.updates.get(run_id):
            row |= changed
            row["is_indexed"] = True
        else:
            self.waits[run_id] = {"run": run_id, **changed}
        self.existing.runs[run_id] = run._replace(awaiting=awaiting)

    # --- how ------------------------------------------------------------------------------------

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        if new.idempotency_key is not None and (
            used := self.existing.keys.get((new.workflow, new.idempotency_key))
        ):
            return KeyUsed(run_id, *used)
        if active := self.existing.unfinished.get((new.workflow, new.foreign_id)):
            return ActiveRun(run_id, active)
        return None

    def _rest(self, run_id: RunId, *, is_finished: bool) -> None:
        """Note that the run takes no step by itself. If it is finished, its foreign id is free."""
        self.at_rest.add(run_id)
        if is_finished and (key := self._holders.pop(run_id, None)):
            del self.existing.unfinished[key]

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
            "created_at": self.now,
            "unfinished": None if row["is_finished"] else new.foreign_id,
        }

    def _amend(self, write: Write, changed: Values) -> None:
        """Stage the next version of a run that is new in this transaction."""
        row = self.inserts[write.run_id]
        row |= changed
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
            if row["new_data"] is None:
                row["new_data"] = before["new_data"]
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
