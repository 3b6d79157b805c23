"""The write of a record's next version. Pure, but for the users' functions that set times."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.graph import TERMINAL
from workflow_ray.engine.entry import NotEntered, gatherings_of, parking_of, timeouts_of
from workflow_ray.engine.events import ALL, CASCADE
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Cause,
    MessageKey,
    NewChild,
    OutgoingEvent,
    Parking,
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


CASCADED = "its parent was cancelled"
"""The reason of a run that is cancelled with its parent."""


def kept(reason: str) -> str:
    """Make a text storable in every database: no NUL, no half of a surrogate pair, not too long."""
    return storable(str(reason)[:MAX_REASON])


def storable(text: str) -> str:
    """Replace what not every database can store: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


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
        labels: dict[str, str] | None = None,
    ) -> Write:
        """Enter a status, with attempts counted from 0. A status without a function ends the run.

        If a timeout of the status can't be set, or its flow control can't park the run, the run is
        paused where it is, with the reason. It has done nothing then: no child is started, and no
        message is taken.
        """
        record, number = self.record, status.value
        entry = workflow.checked().entries.get(status, TERMINAL)
        asks = entry.asks
        events: tuple[OutgoingEvent, ...] = ()
        if asks:
            topic = status_topic(record.workflow, number)
            events = (OutgoingEvent(topic=topic, partition=record.partition),)
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
            data_version=workflow.data_version,
            events=events,
            awaits=entry.awaits,
            asks=asks,
            takes=takes,
            children=children,
            labels=labels,
        )
        return self._prepared(write, status, workflow, entry.flow) if entry.prepares else write

    def _prepared(
        self,
        write: Write,
        status: Status,
        workflow: AnyWorkflow,
        flow: FlowControl[Any, Any] | None,
    ) -> Write:
        """Add the timeouts and gatherings of the status that the write enters, and park the run."""
        try:
            entered = write.onto(self.record)
            timeouts = timeouts_of(workflow, status, entered)
            if flow is not None:
                write = parked(write, parking_of(workflow, status, flow, entered))
        except NotEntered as error:
            why = f"{error}; it was entered because of {write.reason}" if write.reason else error
            return self.fail(str(why))
        return msgspec.structs.replace(
            write, timeouts=timeouts, gatherings=gatherings_of(workflow, status)
        )

    def park(
        self, status: Status, workflow: AnyWorkflow, flow: FlowControl[Any, Any], reason: str
    ) -> Write:
        """Park a run that has entered its status without being parked.

        Args:
            status: The run's status.
            workflow: Its workflow.
            flow: The flow control of the status.
            reason: Why it is parked only now.
        """
        record = self.record
        try:
            parking = parking_of(workflow, status, flow, record)
        except NotEntered as error:
            return self.fail(str(error))
        write = self.stay(Cause.PARKED, attempt=record.attempt, reason=reason, again_in=0.0)
        return parked(write, parking)

    def go_on(
        self, cause: Cause, *, attempt: int, reason: str | None, again_in: float = 0.0
    ) -> Write:
        """Let a run go on that was paused or waits, with its step if that is still to run.

        If flow control orders the run, it has no slot and is parked again, where it was before. A
        run that has no step to run needs no slot. One whose step is delayed is parked when the
        delay is over.

        Args:
            cause: Why it goes on.
            attempt: The failed attempts of the step.
            reason: Of the control.
            again_in: The seconds of the step's delay that are left.
        """
        record = self.record
        asks = record.awaited > NO_VERSION
        again = again_in if asks else None
        write = self.stay(cause, attempt=attempt, reason=reason, again_in=again)
        if record.parking is None or not (record.parked or record.run_state.at_rest):
            return write
        if asks and not again_in:
            return parked(write, record.parking)
        awaits = Awaits.EVENT if asks else Awaits.MESSAGE
        return msgspec.structs.replace(write, parking=None, parked=False, awaits=awaits)

    def admit(self) -> Write:
        """Let a parked run go on to its step."""
        record = self.record
        return self.stay(
            Cause.ADMITTED,
            attempt=record.attempt,
            reason=record.reason if record.attempt else None,
            again_in=0.0,
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
        data_version: int = 1,
        again_in: float | None = None,
        awaited: Version = NO_VERSION,
        takes: tuple[MessageKey, ...] = (),
        children: tuple[NewChild, ...] = (),
        labels: dict[str, str] | None = None,
    ) -> Write:
        """Stay in the same visit.

        Args:
            cause: Why it is written.
            run_state: The run state that follows.
            attempt: The failed attempts of the step.
            reason: Of a halt or a control, or an error.
            data: The new data. None: unchanged.
            data_version: Of the new data.
            again_in: Ask for the step again after so many seconds.
            awaited: The version that asked for the step, if the step is still to run, at once or
                when the run is resumed.
            takes: The messages that led to it.
            children: The runs that it starts.
            labels: All labels of the run. None: unchanged.
        """
        record = self.record
        asks = again_in is not None
        parks = record.parked and not asks and not run_state.finished
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
            data_version=data_version,
            events=self._events(run_state, again_in),
            awaits=_awaits(run_state, works=asks or awaited > NO_VERSION, parks=parks),
            asks=asks,
            awaited=NO_VERSION if asks else awaited,
            takes=takes,
            children=children,
            labels=labels,
            parking=None if run_state.finished else record.parking,
            parked=parks,
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


def parked(write: Write, parking: Parking) -> Write:
    """Let a write that asks for a step park its run instead of waking the step's role."""
    return msgspec.structs.replace(
        write, events=(), awaits=Awaits.PARKED, parking=parking, parked=True
    )


def _awaits(run_state: RunState, *, works: bool, parks: bool) -> Awaits:
    """What a run waits for that stays in its visit."""
    if run_state.at_rest:
        return Awaits.NOBODY
    if parks:
        return Awaits.PARKED
    return Awaits.EVENT if works else Awaits.MESSAGE
