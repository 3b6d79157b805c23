"""What the hooks of a workflow are called for: its run-state events, and the runs as they were."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from workflow_ray.definition import Workflow
from workflow_ray.engine.announcements import announced_state
from workflow_ray.engine.past import read_as_of
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import (
    Event,
    Fence,
    HistoryEntry,
    Received,
    Record,
    RoleName,
    RunId,
    RunState,
    SetAsideEvent,
    SetAsideKey,
    Version,
    run_state_topic,
)
from workflow_ray.roles.delivery import Batch, Item


def event_id_of(run_id: RunId, version: Version) -> str:
    """Return the id of the event that announces a version of a run."""
    return f"{run_id}-{version}"


@dataclass(frozen=True, slots=True)
class HookCall:
    """An event, and the hooks that are to be called for it, by name."""

    event: Event
    hooks: tuple[str, ...]
    given_up: tuple[str, ...] = ()  # those that have failed for good
    record: Record | None = None  # of the run, as it was when the event was read


class HookLog:
    """The run-state topic of a workflow, as a deliverer reads it."""

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        role: RoleName,
    ) -> None:
        self._workflow = workflow
        self._hooks = workflow.checked().hooks
        self._topic = run_state_topic(workflow.name)
        self._records = records
        self._events = events
        self._clock = clock
        self._role = role

    @property
    def id(self) -> str:
        return self._events.stream_id

    async def starts(self) -> dict[int, int]:
        return dict.fromkeys(range(self._workflow.partitions), 0)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await self._events.ends(self._topic, partitions)

    async def receive(
        self, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Batch[HookCall]:
        arrivals = await self._events.receive(
            self._topic, offsets, reader=reader, limit=limit, wait=wait
        )
        records = await self._records_of(arrivals.events)
        items = [self._item(received, records) for received in arrivals.events]
        return Batch(items, arrivals.read, tuple(arrivals.lost))

    async def _records_of(self, events: Sequence[Received]) -> dict[RunId, Record | None]:
        """Read the records that the stream has not joined. It may be only the first ones."""
        wanted = list(
            dict.fromkeys(received.event.run_id for received in events if received.record is None)
        )
        if not wanted:
            return {}
        records = await persist(lambda: self._records.lookup(wanted), self._clock, self._role)
        return dict(zip(wanted, records, strict=False))

    def _item(self, received: Received, records: Mapping[RunId, Record | None]) -> Item[HookCall]:
        event = received.event
        run_state = announced_state(event)
        hooks = tuple(hook.name for hook in self._hooks if hook.run_state is run_state)
        record = received.record or records.get(event.run_id)
        return Item(
            event_id_of(event.run_id, event.version),
            event.run_id,
            event.partition,
            received.offset,
            len(record.data) if record is not None else 0,
            HookCall(event, hooks, record=record),
        )

    def pack(self, event: HookCall, running: Fence | None) -> SetAsideEvent:
        return SetAsideEvent(
            run=event.event, hooks=event.hooks, given_up=event.given_up, running=running
        )

    def unpack(self, key: SetAsideKey, event_id: str, packed: SetAsideEvent) -> Item[HookCall]:
        assert packed.run is not None, "entries of hooks hold run-state events"
        call = HookCall(packed.run, packed.hooks, packed.given_up)
        return Item(event_id, packed.run.run_id, key.partition, key.offset, 0, call)

    async def record_then(self, event: HookCall) -> Record | None:
        """Return the run as it was at the event's version. None: it is not known any more."""
        wanted = event.event
        record = event.record
        if record is None or record.version < wanted.version:
            (record,) = await persist(
                lambda: self._records.lookup([wanted.run_id], fresh=True), self._clock, self._role
            )
        if record is None or record.version < wanted.version:
            return None
        if record.version == wanted.version:
            return msgspec.structs.replace(record, visit=wanted.version)
        return await self._from_history(record, wanted.version)

    async def is_deleted(self, event: HookCall) -> bool:
        """Whether the data of the run was deleted, or the run was removed."""
        run_id = event.event.run_id
        (record,) = await persist(
            lambda: self._records.lookup([run_id], fresh=True), self._clock, self._role
        )
        return record is None or record.run_state is RunState.DATA_DELETED

    async def _from_history(self, record: Record, version: Version) -> Record | None:
        """Put a record back to an earlier version, by the run's history."""
        then = await read_as_of(record, partial(self._read, record.run_id), version)
        if then is None:
            return None
        return msgspec.structs.replace(then, visit=version, attempt=record.attempt)

    async def _read(self, run_id: RunId, *, after: Version, limit: int) -> list[HistoryEntry]:
        return await persist(
            lambda: self._records.history(run_id, after=after, limit=limit), self._clock, self._role
        )
