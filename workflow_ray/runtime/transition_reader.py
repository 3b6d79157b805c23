"""The open transitions of a workflow."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from workflow_ray.definition import Workflow
from workflow_ray.engine.announcements import announced_state
from workflow_ray.engine.past import read_as_of
from workflow_ray.ports import Clock, EventStreamer, RecordStore
from workflow_ray.records import (
    NO_VERSION,
    Arrivals,
    Cause,
    ConnectorEvent,
    DeployedWorkflow,
    HistoryEntry,
    Received,
    Record,
    RunId,
    Topic,
    Version,
    WriteId,
)
from workflow_ray.records.encoded import why_unreadable
from workflow_ray.runtime.transition_topics import FORGOTTEN, SLOTS, ReaderPositions, by_slot

SAME_VISIT = (
    Cause.RETRY,
    Cause.REPEAT,
    Cause.STAY,
    Cause.DOUBT,
    Cause.GIVEN_BACK,
    Cause.RETRIED,
    Cause.RESUMED,
    Cause.PARKED,
    Cause.ADMITTED,
)
"""Causes of versions that are not transitions: the run stays at its status."""


class TransitionReader:
    """A SourceReader and a PositionListener."""

    def __init__(
        self,
        workflow: DeployedWorkflow,
        topics: Mapping[int, Topic],
        reader: str,
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        definition: Workflow[Any, Any] | None = None,
    ) -> None:
        """definition: Converts data of earlier versions. None: it is handed on as it is stored."""
        self._workflow = workflow
        self._definition = definition
        self._names = {number: name for name, number in workflow.statuses.items()}
        self._topics = topics
        self._reader = reader
        self._records = records
        self._events = events
        self._clock = clock
        # By partition: the offsets that were asked for, and where to go on instead, because what is
        # between are not transitions.
        self._passed: dict[int, tuple[int, int]] = {}
        self._positions = ReaderPositions(reader, topics, events.stream_id, records)

    @property
    def source_id(self) -> str:
        return f"transitions:{self._events.stream_id}/{self._workflow.name}"

    async def starts(self) -> dict[int, int]:
        """Return where each partition begins. From now on its events are kept for this reader."""
        numbers = [
            slot * SLOTS + partition
            for slot in self._topics
            for partition in range(self._workflow.partitions)
        ]
        await self._positions.find(numbers)
        await self._positions.report(dict.fromkeys(numbers, 0))
        return dict.fromkeys(numbers, 0)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        for slot, numbers in by_slot(partitions).items():
            if slot in self._topics:
                ends = await self._events.ends(self._topics[slot], numbers)
                found |= {slot * SLOTS + number: end for number, end in ends.items()}
        return found

    async def lag(self, offsets: Mapping[int, int]) -> int:
        return sum(
            [
                await self._events.lag(
                    self._topics[slot], {number: offsets[slot * SLOTS + number] for number in some}
                )
                for slot, some in by_slot(offsets).items()
                if slot in self._topics
            ]
        )

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        deadline = self._clock.monotonic() + wait
        while True:
            places = {number: self._place(number, offset) for number, offset in offsets.items()}
            arrivals = await self._receive(places, limit, 0.0)
            if not any(each.events for each in arrivals.values()):
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return []
                arrivals = await self._first(places, limit, left)
            events = await self._converted(arrivals)
            self._pass(offsets, arrivals, {event.partition for event in events})
            if events:
                return events

    def _place(self, number: int, offset: int) -> int:
        """Where to read from, if the caller asks for an offset."""
        asked, place = self._passed.get(number, (offset, offset))
        return place if asked <= offset <= place else offset

    def _pass(
        self,
        offsets: Mapping[int, int],
        arrivals: Mapping[int, Arrivals],
        with_events: Collection[int],
    ) -> None:
        """Note where to go on in partitions in which no transition was found."""
        for slot, each in arrivals.items():
            for partition, place in each.read.items():
                number = slot * SLOTS + partition
                if number not in with_events:
                    self._passed[number] = offsets[number], place

    async def committed(self, offsets: Mapping[int, int]) -> None:
        await self._positions.report(offsets)

    async def forget(self) -> None:
        """Keep no events for this reader any more."""
        await self._positions.report(dict.fromkeys(await self.starts(), FORGOTTEN))

    # --- reading --------------------------------------------------------------------------------

    async def _receive(
        self, offsets: Mapping[int, int], limit: int, wait: float
    ) -> dict[int, Arrivals]:
        """Read each topic."""
        slots = [slot for slot in by_slot(offsets) if slot in self._topics]
        share = max(1, limit // max(1, len(slots)))
        answers = await asyncio.gather(
            *(self._receive_topic(slot, offsets, share, wait) for slot in slots)
        )
        return dict(zip(slots, answers, strict=True))

    async def _receive_topic(
        self, slot: int, offsets: Mapping[int, int], limit: int, wait: float
    ) -> Arrivals:
        wanted = {number: offsets[slot * SLOTS + number] for number in by_slot(offsets)[slot]}
        topic = self._topics[slot]
        name = f"{self._workflow.name}-reader-{self._reader}"
        arrivals = await self._events.receive(topic, wanted, reader=name, limit=limit, wait=wait)
        for number in arrivals.lost:  # the log is a new one, and so are the positions in it
            self._positions.begin_again(slot * SLOTS + number)
            wanted[number] = 0
        if not arrivals.lost:
            return arrivals
        return await self._events.receive(topic, wanted, reader=name, limit=limit, wait=wait)

    async def _first(
        self, offsets: Mapping[int, int], limit: int, wait: float
    ) -> dict[int, Arrivals]:
        """Wait until one of the topics has an event."""
        slots = [slot for slot in by_slot(offsets) if slot in self._topics]
        share = max(1, limit // max(1, len(slots)))
        tasks = {
            asyncio.create_task(self._receive_topic(slot, offsets, share, wait)): slot
            for slot in slots
        }
        if not tasks:
            await self._clock.wait(asyncio.Event(), wait)
            return {}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                if not task.done():
                    task.cancel()
            await asyncio.wait(tasks)
        return {slot: task.result() for task, slot in tasks.items() if not task.cancelled()}

    # --- conversion -----------------------------------------------------------------------------

    async def _converted(self, arrivals: Mapping[int, Arrivals]) -> list[ConnectorEvent]:
        received = [(slot, item) for slot, each in arrivals.items() for item in each.events]
        wanted = [(slot, item) for slot, item in received if item.event.version != NO_VERSION]
        records = await self._look_up([item.event.run_id for _, item in wanted])
        events: list[ConnectorEvent] = []
        for slot, item in wanted:
            record = records.get(item.event.run_id)
            if record is None or record.version < item.event.version:
                continue
            found = await self._as_it_was(record, item.event.version)
            if found is not None and (slot == 0 or found.cause not in SAME_VISIT):
                events.append(self._event(slot, item, found, record.foreign_id))
        return sorted(events, key=lambda event: (event.partition, event.offset))

    async def _look_up(self, run_ids: Sequence[RunId]) -> dict[RunId, Record]:
        left, found = list(dict.fromkeys(run_ids)), dict[RunId, Record]()
        while left:
            records = await self._records.lookup(left, fresh=True)
            found |= {record.run_id: record for record in records if record is not None}
            left = left[max(1, len(records)) :]
        return found

    async def _as_it_was(self, record: Record, version: Version) -> HistoryEntry | None:
        """Return a version of a run, with its data. None: the history does not have it any more."""
        if record.version == version:
            return _entry(record)
        read = partial(self._records.history, record.run_id)
        then = await read_as_of(record, read, version)
        return None if then is None else _entry(then)

    def _event(
        self, slot: int, item: Received, then: HistoryEntry, foreign_id: str
    ) -> ConnectorEvent:
        event = item.event
        data, data_version = self._migrated(then)
        run_state = announced_state(event) or then.run_state
        why = why_unreadable(data)
        return ConnectorEvent(
            id=f"{event.run_id}-{event.version}",
            key=foreign_id,
            data=data if why is None else b"",
            headers={
                "workflow": self._workflow.name,
                "run_id": event.run_id,
                "version": str(event.version),
                "status": self._names.get(then.status, str(then.status)),
                "run_state": run_state.name,
                "cause": then.cause.name,
                "data_version": str(data_version),
                **({} if why is None else {"unreadable": why}),
            },
            partition=slot * SLOTS + event.partition,
            offset=item.offset,
            at=then.at,
        )

    def _migrated(self, then: HistoryEntry) -> tuple[bytes, int]:
        """Convert the data to the version of this code, if it can be. Returns also its version."""
        data, definition = then.data or b"", self._definition
        if definition is None:
            return data, then.data_version
        try:
            return definition.migrated(data, then.data_version), definition.data_version
        except ValueError:  # newer code has written it, or it was deleted, or does not fit
            return data, then.data_version


def _entry(record: Record) -> HistoryEntry:
    """The version at which the record is."""
    return HistoryEntry(
        run_id=record.run_id,
        version=record.version,
        status=record.status,
        run_state=record.run_state,
        cause=record.cause,
        by="",
        at=record.updated_at,
        write_id=WriteId(""),
        data=record.data,
        data_version=record.data_version,
    )
