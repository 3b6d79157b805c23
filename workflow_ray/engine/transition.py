"""Pure decisions: what the outcome of a step makes of a record."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from workflow_ray.definition import Cancel, Graph, Pause, Repeat, Status, Stay, Step
from workflow_ray.definition.durations import seconds_of
from workflow_ray.records import (
    Awaits,
    Cause,
    OutgoingEvent,
    Record,
    RunState,
    Version,
    Write,
    WriteId,
    status_topic,
)

AnyStep: TypeAlias = Step[Any]
AnyGraph: TypeAlias = Graph[Any]

MAX_REASON = 2000
"""Characters of an error, or of a halt's reason, that the record and its history keep."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The step returned: a status of its annotation or a halt of it, and the data, None where
    nothing changed.
    """

    value: Status | Cancel | Pause | Repeat | Stay
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The step raised, or what it returned can't be stored. Changes to the data are dropped."""

    error: str
    fatal: bool = False  # no further attempt
    raised: BaseException | None = field(default=None, compare=False, repr=False)  # for the log


Outcome: TypeAlias = Returned | Failed


def decide(
    record: Record, outcome: Outcome, step: AnyStep, graph: AnyGraph, *, by: str, write_id: WriteId
) -> Write:
    """What `outcome` makes of `record`. Pure: no clock, no new ids, no I/O.

    Every write that leaves the run able to go on by itself puts an event in the outbox.
    """
    nxt = Next(record, by, write_id)
    if isinstance(outcome, Failed):
        return _failed(
            nxt, outcome.error, step, graph, attempt=record.attempt + 1, fatal=outcome.fatal
        )
    data = outcome.data
    match outcome.value:
        case Status() as status:
            return nxt.enter(status, graph, Cause.STEP, data=data)
        case Repeat(after):
            return nxt.stay(Cause.REPEAT, data=data, again_in=seconds_of("after", after))
        case Stay():
            return nxt.stay(Cause.STAY, data=data)
        case Pause(reason):
            return nxt.stay(Cause.PAUSE, run_state=RunState.PAUSED, reason=reason, data=data)
        case Cancel(reason):
            return nxt.stay(Cause.CANCEL, run_state=RunState.CANCELLED, reason=reason, data=data)
    assert_never(outcome.value)


def count_attempt(
    record: Record, step: AnyStep, graph: AnyGraph, *, by: str, write_id: WriteId
) -> Write:
    """Count the attempt that is about to be made, because a process died when this run was tried
    last.

    The write is what a failure would have made of the record, retry included: if the process dies
    again the run is safe. One that has used its attempts fails instead (see `is_counted`): a step
    that kills its process ends, not loops.
    """
    nxt = Next(record, by, write_id)
    if record.attempt >= step.retry.attempts:
        error = (
            f"the process died while {step.name} ran, and its attempts ({record.attempt}) are"
            " used up"
        )
        return _failed(nxt, error, step, graph, attempt=record.attempt, fatal=True)
    attempt = record.attempt + 1
    return nxt.stay(
        Cause.DOUBT,
        attempt=attempt,
        reason="its process died while this run was tried",
        again_in=step.retry.delay(record.run_id, attempt),
    )


def is_counted(write: Write) -> bool:
    """Whether a write by `count_attempt` leaves the attempt to be made."""
    return write.cause is Cause.DOUBT


def give_back(counted: Record, *, by: str, write_id: WriteId) -> Write:
    """Undo `count_attempt`, because the role stopped in an orderly way before the attempt ended.

    Args:
        counted: The record as that write left it.
    """
    nxt = Next(counted, by, write_id)
    reason = "its role stopped before the attempt ended"
    return nxt.stay(Cause.GIVEN_BACK, attempt=counted.attempt - 1, reason=reason, again_in=0.0)


def _failed(
    nxt: "Next", error: str, step: AnyStep, graph: AnyGraph, *, attempt: int, fatal: bool
) -> Write:
    if not fatal and attempt < step.retry.attempts:
        delay = step.retry.delay(nxt.record.run_id, attempt)
        return nxt.stay(Cause.RETRY, attempt=attempt, reason=error, again_in=delay)
    if step.on_failure is not None:
        return nxt.enter(step.on_failure, graph, Cause.FAILED, reason=error)
    return nxt.stay(Cause.FAILED, run_state=RunState.PAUSED, attempt=attempt, reason=error)


def _kept(reason: str | None) -> str | None:
    """What every database can hold of a text that a step made: no NUL, no half of a surrogate pair,
    not too long.
    """
    if reason is None:
        return None
    return (
        str(reason)[:MAX_REASON]
        .replace("\0", "\N{REPLACEMENT CHARACTER}")
        .encode("utf-8", "replace")
        .decode()
    )


@dataclass(slots=True)  # a frozen one takes twice as long to make
class Next:
    """The next version of a record, in its two forms."""

    record: Record
    by: str
    write_id: WriteId

    def enter(
        self,
        status: Status,
        graph: AnyGraph,
        cause: Cause,
        *,
        reason: str | None = None,
        data: bytes | None = None,
    ) -> Write:
        """A new visit: the attempts begin at 0 again, and a status without a step ends the run."""
        record, number = self.record, status.value
        ends = graph.is_terminal(status)
        topic = status_topic(record.workflow, number)
        return Write(
            run_id=record.run_id,
            write_id=self.write_id,
            expected=record.version,
            status=number,
            run_state=RunState.COMPLETED if ends else RunState.RUNNING,
            visit=Version(record.version + 1),
            cause=cause,
            by=self.by,
            reason=_kept(reason),
            data=data,
            events=() if ends else (OutgoingEvent(topic=topic, partition=record.partition),),
            awaits=Awaits.NOBODY if ends else Awaits.EVENT,
            asks=not ends,
        )

    def stay(
        self,
        cause: Cause,
        *,
        run_state: RunState = RunState.RUNNING,
        attempt: int = 0,
        reason: str | None = None,
        data: bytes | None = None,
        again_in: float | None = None,
    ) -> Write:
        """The same visit; with an event in `again_in` seconds, if given."""
        record = self.record
        topic = status_topic(record.workflow, record.status)
        again = (
            ()
            if again_in is None
            else (OutgoingEvent(topic=topic, partition=record.partition, delay=again_in),)
        )
        return Write(
            run_id=record.run_id,
            write_id=self.write_id,
            expected=record.version,
            status=record.status,
            run_state=run_state,
            visit=record.visit,
            cause=cause,
            by=self.by,
            attempt=attempt,
            reason=_kept(reason),
            data=data,
            events=again,
            awaits=_awaits(run_state, again),
            asks=bool(again),
        )


def _awaits(run_state: RunState, again: tuple[OutgoingEvent, ...]) -> Awaits:
    """What a run that keeps its visit waits for."""
    if run_state.at_rest:
        return Awaits.NOBODY
    return Awaits.EVENT if again else Awaits.MESSAGE
