"""The write of a record's next version. Pure, but for the users' functions that set times."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.graph import TERMINAL
from workflow_ray.engine.entry import TimeoutNotSet, gatherings_of, timeouts_of
from workflow_ray.engine.events import ALL, CASCADE
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Cause,
    MessageKey,
    NewChild,
    OutgoingEvent,
    Record,
    RunState,
    Version,
    Write,
    WriteId,
    status_topic,
)

AnyWorkflow: TypeAlias = Workflow[Any, Any]

MAX_REASON = 2000
"""The characters of an error or of a reason that the record and its history keep."""


def kept(reason: str) -> str:
    """Make a text storable in every database: no NUL, no half of a surrogate pair, not too long."""
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
        workflow: AnyWorkflow,
        cause: Cause,
        *,
        reason: str | None = None,
        data: bytes | None = None,
        takes: tuple[MessageKey, ...] = (),
        children: tuple[NewChild, ...] = (),
    ) -> Write:
        """Enter a status, with attempts counted from 0. A status without a function ends the run.

        If a timeout of the status can't be set, the run is paused where it is, with the reason. It
        has done nothing then: no child is started, and no message is taken.
        """
        record, number = self.record, status.value
        entry = workflow.checked().entries.get(status, TERMINAL)
        asks = entry.asks
        topic = status_topic(record.workflow, number)
        write = Write(
            run_id=record.run_id,
            write_id=self.write_id,
            expected=record.version,
            status=number,
            run_state=RunState.COMPLETED if entry.ends else RunState.RUNNING,
            visit=Version(record.version + 1),
            cause=cause,
            by=self.by,
            reason=None if reason is None else kept(reason),
            data=data,
            events=(OutgoingEvent(topic=topic, partition=record.partition),) if asks else (),
            awaits=entry.awaits,
            asks=asks,
            takes=takes,
            children=children,
        )
        return self._prepared(write, status, workflow) if entry.prepares else write

    def _prepared(self, write: Write, status: Status, workflow: AnyWorkflow) -> Write:
        """Add the timeouts and gatherings of the status that the write enters."""
        try:
            timeouts = timeouts_of(workflow, status, write.onto(self.record))
        except TimeoutNotSet as error:
            why = f"{error}; it was entered because of {write.reason}" if write.reason else error
            return self.fail(str(why))
        return msgspec.structs.replace(
            write, timeouts=timeouts, gatherings=gatherings_of(workflow, status)
        )

    def fail(self, error: str, *, attempt: int | None = None) -> Write:
        """Pause the run with an error. What it waits for stays as it is."""
        record = self.record
        return self.stay(
            Cause.FAILED,
            run_state=RunState.PAUSED,
            attempt=record.attempt if attempt is None else attempt,
            reason=error,
            awaited=record.awaited,
        )

    def cancel(self, reason: str | None, *, cascade: bool | None = None) -> Write:
        """End the run as CANCELLED.

        Args:
            reason: Why it is cancelled.
            cascade: Whether all its unfinished children are cancelled after it, through any depth.
                None: those that were started with `cascade=True`.
        """
        write = self.stay(
            Cause.CANCEL,
            run_state=RunState.CANCELLED,
            attempt=self.record.attempt,
            reason=reason,
        )
        if cascade is None:
            return write
        return msgspec.structs.replace(write, events=(self._cascade(ALL),) if cascade else ())

    def stay(
        self,
        cause: Cause,
        *,
        run_state: RunState = RunState.RUNNING,
        attempt: int = 0,
        reason: str | None = None,
        data: bytes | None = None,
        again_in: float | None = None,
        awaited: Version = NO_VERSION,
        takes: tuple[MessageKey, ...] = (),
        children: tuple[NewChild, ...] = (),
    ) -> Write:
        """Stay in the same visit.

        Args:
            cause: Why it is written.
            run_state: The run state that follows.
            attempt: The failed attempts of the step.
            reason: Of a halt or a control, or an error.
            data: The new data. None: unchanged.
            again_in: Ask for the step again after so many seconds.
            awaited: The version that asked for the step, if the step is still to run, at once or
                when the run is resumed.
            takes: The messages that led to it.
            children: The runs that it starts.
        """
        record = self.record
        asks = again_in is not None
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
            reason=None if reason is None else kept(reason),
            data=data,
            events=self._events(run_state, again_in),
            awaits=_awaits(run_state, works=asks or awaited > NO_VERSION),
            asks=asks,
            awaited=NO_VERSION if asks else awaited,
            takes=takes,
            children=children,
        )

    def _events(self, run_state: RunState, again_in: float | None) -> tuple[OutgoingEvent, ...]:
        """The event that asks for the step, or for the cancellation of the run's children."""
        record = self.record
        topic = status_topic(record.workflow, record.status)
        if again_in is not None:
            return (OutgoingEvent(topic=topic, partition=record.partition, delay=again_in),)
        if record.cascades and run_state is RunState.CANCELLED:
            return (self._cascade(""),)
        return ()

    def _cascade(self, which: str) -> OutgoingEvent:
        """The event that asks for the cancellation of the run's children."""
        topic = status_topic(self.record.workflow, self.record.status)
        headers = {CASCADE: which}
        return OutgoingEvent(topic=topic, partition=self.record.partition, headers=headers)


def _awaits(run_state: RunState, *, works: bool) -> Awaits:
    """What a run waits for that stays in its visit."""
    if run_state.at_rest:
        return Awaits.NOBODY
    return Awaits.EVENT if works else Awaits.MESSAGE
