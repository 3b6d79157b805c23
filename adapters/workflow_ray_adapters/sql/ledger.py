"""What a transaction's writes come to: each decided as if those before it stood, all of them landed together."""

from dataclasses import dataclass, field

from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Conflict,
    Event,
    KeyUsed,
    NewRun,
    OutgoingEvent,
    Position,
    RunId,
    Stored,
    Version,
    Write,
    WriteResult,
    check_write,
)
from workflow_ray_adapters.sql.rows import AT_ONCE, Values, event_row, from_headers

MICROSECONDS = 1_000_000


@dataclass
class Standing:
    """What the writes meet in the store. A run that isn't in `versions` doesn't exist."""

    versions: dict[RunId, Version]
    keys: dict[tuple[str, str], RunId]  # (workflow, idempotency key) -> the run that used it first
    unfinished: dict[tuple[str, str], RunId]  # (workflow, foreign id) -> its unfinished run


@dataclass
class Ledger:
    """Decides write by write, and keeps the rows that they come to; of `inserts` and `updates` one a run, whatever its writes."""

    standing: Standing
    now: int
    inserts: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    updates: dict[RunId, Values] = field(default_factory=dict[RunId, Values])
    keys: list[Values] = field(default_factory=list[Values])
    history: list[Values] = field(default_factory=list[Values])
    outbox: list[Values] = field(default_factory=list[Values])
    positions: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    at_rest: set[RunId] = field(default_factory=set[RunId])  # runs that now take no step by themselves

    def __post_init__(self) -> None:
        self._holders = {run_id: key for key, run_id in self.standing.unfinished.items()}

    def enter(self, write: Write) -> WriteResult:
        """The answer to a write; where it is Stored, its rows are in the ledger. A repeat gets a Conflict here."""
        check_write(write)
        found = self.standing.versions.get(write.run_id, NO_VERSION)
        if found != write.expected:
            return Conflict(write.run_id, found)
        if write.new is not None and (taken := self._taken(write.run_id, write.new)):
            return taken
        return Stored(write.run_id, self._land(write))

    def reach(self, position: Position) -> None:
        """Note a position; of two for one partition the further one."""
        key = (position.group, position.partition)
        self.positions[key] = max(position.offset, self.positions.get(key, 0))

    def resend(self, event: Event) -> None:
        """Have an event sent that is no write's."""
        self.outbox.append({**event_row(event), "due_at": AT_ONCE})

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        if new.idempotency_key is not None and (first := self.standing.keys.get((new.workflow, new.idempotency_key))):
            return KeyUsed(run_id, first)
        if active := self.standing.unfinished.get((new.workflow, new.foreign_id)):
            return ActiveRun(run_id, active)
        return None

    def _land(self, write: Write) -> Version:
        """The version that it makes."""
        state, rests = _state(write, self.now), write.run_state.at_rest
        finished = rests and write.run_state.finished
        version: Version = state["version"]
        if rests:
            self.at_rest.add(write.run_id)
        self.history.append(_entry(write, state))
        for outgoing in write.events:
            self._send(write, version, outgoing)
        if write.new is not None:
            self._create(write, write.new, state, finished)
        elif write.run_id in self.inserts:
            self._amend(write, state, finished)
        else:
            self._change(write, state, finished)
        if finished and (key := self._holders.pop(write.run_id, None)):
            del self.standing.unfinished[key]
        self.standing.versions[write.run_id] = version
        return version

    def _create(self, write: Write, new: NewRun, row: Values, finished: bool) -> None:
        key = (new.workflow, new.foreign_id)
        self.standing.unfinished[key] = write.run_id
        self._holders[write.run_id] = key
        if new.idempotency_key is not None:
            self.standing.keys[new.workflow, new.idempotency_key] = write.run_id
            self.keys.append({"workflow": new.workflow, "idempotency_key": new.idempotency_key, "run_id": write.run_id})
        self.inserts[write.run_id] = row
        row |= {
            "run_id": write.run_id,
            "workflow": new.workflow,
            "foreign_id": new.foreign_id,
            "partition_no": new.partition,
            "data": write.data,
            "idempotency_key": new.idempotency_key,
            "created_at": self.now,
            "unfinished": None if finished else new.foreign_id,
        }

    def _amend(self, write: Write, state: Values, finished: bool) -> None:
        """The next version of a run that is new in this transaction."""
        row = self.inserts[write.run_id]
        row |= state
        if write.data is not None:
            row["data"] = write.data
        if finished:
            row["unfinished"] = None

    def _change(self, write: Write, row: Values, finished: bool) -> None:
        before = self.updates.get(write.run_id)
        self.updates[write.run_id] = row
        row["run"] = write.run_id
        row["before"] = before["before"] if before else write.expected
        row["new_data"] = before["new_data"] if before and write.data is None else write.data
        row["finished"] = finished

    def _send(self, write: Write, version: Version, outgoing: OutgoingEvent) -> None:
        due_at = self.now + round(outgoing.delay * MICROSECONDS) if outgoing.delay > 0 else AT_ONCE
        self.outbox.append(
            {
                "topic": outgoing.topic,
                "partition_no": outgoing.partition,
                "run_id": write.run_id,
                "version": version,
                "status": write.status,
                "due_at": due_at,
                "headers": from_headers(outgoing.headers),
            }
        )


def _state(write: Write, now: int) -> Values:
    return {
        "status": write.status,
        "run_state": int(write.run_state),  # a driver takes long over what is no plain number
        "version": write.version,
        "visit": write.visit,
        "attempt": write.attempt,
        "cause": int(write.cause),
        "reason": write.reason,
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
