"""Transitions: how the outcome of a step changes a record. Pure."""

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
"""The characters of an error or of a reason that the record and its history keep."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The step has returned a status or a halt of its annotation.

    `data` is None if the data has not changed.
    """

    value: Status | Cancel | Pause | Repeat | Stay
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The step has raised, or its result can't be stored. Changes to the data are dropped."""

    error: str
    fatal: bool = False  # no further attempt
    raised: BaseException | None = field(default=None, compare=False, repr=False)  # for the log


Outcome: TypeAlias = Returned | Failed


def decide(
    record: Record, outcome: Outcome, step: AnyStep, graph: AnyGraph, *, by: str, write_id: WriteId
) -> Write:
    """Decide the write that follows from the outcome of a step.

    It puts an event into the outbox if the run is able to proceed.
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
    """Count an attempt before it begins, because a process died during the last one.

    The write is that of a failed attempt, with its retry, so that the run goes on if the process
    dies again. If all attempts are used up, the write is that of the last failure (see
    `is_counted`). So a step that kills its process does not loop.
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
    """Whether a write of `count_attempt` has counted an attempt, which may begin now."""
    return write.cause is Cause.DOUBT


def give_back(counted: Record, *, by: str, write_id: WriteId) -> Write:
    """Undo `count_attempt`, because the role has stopped in order before the attempt ended.

    Args:
        counted: The record after that write.
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
    """Make a text storable in every database: no NUL, no half of a surrogate pair, not too long."""
    if reason is None:
        return None
    return (
        str(reason)[:MAX_REASON]
        .replace("\0", "\N{REPLACEMENT CHARACTER}")
        .encode("utf-8", "replace")
        .decode()
    )


@dataclass(slots=True)  # it takes twice as long to make a frozen one
class Next:
    """Makes the write of a record's next version: it enters a status, or stays."""

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
        """Enter a status, with attempts counted from 0. A status without a step ends the run."""
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
        """Stay in the same visit. If `again_in` is given, an event comes after so many seconds."""
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
    """What a run waits for that stays in its visit."""
    if run_state.at_rest:
        return Awaits.NOBODY
    return Awaits.EVENT if again else Awaits.MESSAGE
