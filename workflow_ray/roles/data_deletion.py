"""The role that deletes the data of runs, and removes what retention keeps no longer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from workflow_ray.coding import forget_again, undecoded
from workflow_ray.definition import Resource, Retry, Workflow
from workflow_ray.definition.retry import DEFAULT_RETRY
from workflow_ray.engine.data_deletion import announced_at, delete_data
from workflow_ray.engine.interrupts import is_cancellation, is_interrupt
from workflow_ray.engine.newer_data import HOLD_EVENT, newer_data_in
from workflow_ray.engine.runs import FIRST
from workflow_ray.errors import InvalidInput, RoleLost, StoreError
from workflow_ray.errors.data import newer_text
from workflow_ray.ports import FIRST_PAUSE, LONGEST_PAUSE, Clock, RecordStore, persist
from workflow_ray.records import (
    NO_VERSION,
    Fence,
    HistoryEntry,
    Record,
    Role,
    RunId,
    RunState,
    SetAsideEvent,
    SetAsideKey,
    SetAsideQuery,
    WriteGroup,
    hooks_group,
    new_write_id,
)
from workflow_ray.roles.calling import check_fence
from workflow_ray.roles.deliverer import Duty
from workflow_ray.roles.delivery import Batch, Delivery, Failure, Item
from workflow_ray.roles.delivery_retries import AT_ONCE
from workflow_ray.roles.delivery_role import DeliveryRole
from workflow_ray.roles.execution import failed
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.hook_log import event_id_of
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.resources import opened
from workflow_ray.roles.retention import RetentionWork
from workflow_ray.roles.scrubbing import Scrubbing
from workflow_ray.roles.threads import threads_of

T = TypeVar("T")
log = logging.getLogger(__name__)

PAGE = 1000
"""The most versions that are read at once."""


@dataclass(frozen=True)
class DataWork:
    """The work of the role, and in tests the values that replace resources."""

    role: Role
    workflow: Workflow[Any, Any]
    replaced: Mapping[Resource[Any], object]


class DataRole(DeliveryRole[RunId]):
    """Deletes the data of the runs for which that was asked for, and beside that what is too old.

    Each deletion is an entry of the role, like an event that a connector has set aside: it is
    tried again by the scrubber's policy, is a dead letter when its attempts are used up, and one
    that kills its process is tried alone.
    """

    def __init__(
        self,
        work: DataWork,
        fence: Fence,
        records: RecordStore,
        clock: Clock,
        observation: Observation | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        super().__init__(fence, records, clock, observation, in_flight)
        self._work = work

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, as Deliverer.run says.

        Raises:
            RoleLost: The role has a newer holder.
            WorkflowError: The store can't be used, or without retention, a resource failed.
        """
        work = self._work
        retention = work.workflow.retention
        if retention is None or retention.is_empty():
            await self._delete(stop)
            return
        removing = RetentionWork(
            work.workflow.name, retention, self._fence, undecoded(self._records), self._clock
        )
        try:
            with self._in_flight.removing(self._fence.role, removing.removed):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(removing.run(stop))
                    await self._delete_again(stop)
        except* Exception as errors:
            raise errors.exceptions[0] from None

    async def _delete_again(self, stop: asyncio.Event) -> None:
        """Delete data until `stop`, again after each failure of a resource of the scrubber, because
        retention needs none. The log and the status of the process show the failure.
        """
        role, why, pause = self._fence.role, "", FIRST_PAUSE
        while True:
            with self._in_flight.counted(role, int, breaker=partial(str, why)):
                if why:
                    await self._clock.wait(stop, pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                self._deliverer = None
                try:
                    return await self._delete(stop)
                except Exception as error:
                    if stop.is_set() or isinstance(error, RoleLost) or self._is_of_store(error):
                        raise
                    why = f"it deletes no data: {type(error).__name__}: {error}"
                    text = "role %s: its scrubber can't run; trying again in %.2f s"
                    log.exception(text, role, pause, extra={"role": role})

    def _is_of_store(self, error: Exception) -> bool:
        """Whether the store can't be used. A resource may use another store when it opens."""
        return self._deliverer is not None and isinstance(error, StoreError)

    async def _delete(self, stop: asyncio.Event) -> None:
        work = self._work
        scrubber = work.workflow.checked().scrubber
        used = {} if scrubber is None else dict.fromkeys(scrubber.resources.values())
        async with opened("scrubber", used, work.replaced) as values:
            threads = threads_of(work.workflow, work.role.name, "scrubber", AT_ONCE)
            handler = DeletionHandler(
                work.workflow,
                None if scrubber is None else Scrubbing(work.workflow, scrubber, values, threads),
                self._fence,
                self._records,
                self._clock,
            )
            duty = Duty(work.role, Requests(), handler, values, aside=(0,))
            await self._deliver(duty, stop)


class Requests:
    """The log of the role. It has no partitions: what is asked for is set aside from the start."""

    id = "requests"

    async def starts(self) -> dict[int, int]:
        return {}

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    async def receive(
        self, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Batch[RunId]:
        return Batch()

    def pack(self, event: RunId, running: Fence | None) -> SetAsideEvent:
        return SetAsideEvent(running=running)

    def unpack(self, key: SetAsideKey, event_id: str, packed: SetAsideEvent) -> Item[RunId]:
        return Item(event_id, "", key.partition, key.offset, 0, RunId(event_id))


class DeletionHandler:
    """Deletes the data of one run: all of it in one commit, after the scrubber has returned."""

    name = "scrubber"

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        scrubbing: Scrubbing | None,
        fence: Fence,
        records: RecordStore,
        clock: Clock,
    ) -> None:
        self._workflow = workflow
        self._scrubbing = scrubbing
        self._fence = fence
        self._records = records
        self._clock = clock

    def retry(self, event: RunId) -> Retry:
        return DEFAULT_RETRY if self._scrubbing is None else self._scrubbing.retry

    async def call(self, delivery: Delivery[RunId]) -> Failure[RunId] | None:
        """Delete the data of the run, unless that is done, or was not asked for after all."""
        run_id = delivery.item.event
        (record,) = await self._persist(lambda: self._records.lookup([run_id], fresh=True))
        if record is None or record.run_state is not RunState.REQUESTED_DATA_DELETED:
            if record is None or record.run_state is RunState.DATA_DELETED:
                # an earlier holder may have died before the codecs have forgotten the run
                await self._persist(lambda: forget_again(self._workflow, [run_id]))
            return None
        if record.data_version > self._workflow.data_version:  # newer code says what is kept
            why = newer_text(record.data_version, self._workflow.data_version)
            return Failure(why, HOLD_EVENT, run_id, is_counted=False)
        kept: bytes | None = None
        if self._scrubbing is not None:
            kept, failure = await self._scrubbed(self._scrubbing, record, delivery)
            if failure is not None:
                return failure
        write = delete_data(
            record,
            kept,
            data_version=self._workflow.data_version,
            by=self._fence.role,
            write_id=new_write_id(),
        )
        group = WriteGroup(
            writes=(write,), taken_back=await self._hook_entries(record), fence=self._fence
        )
        await store_fenced(self._records, group, self._clock)
        return None

    async def _scrubbed(
        self, scrubbing: Scrubbing, record: Record, delivery: Delivery[RunId]
    ) -> tuple[bytes | None, Failure[RunId] | None]:
        """Return what the scrubber keeps, or why it has failed."""
        try:
            return await scrubbing.kept(record, delivery.number), None
        except BaseException as error:
            if is_interrupt(error) or is_cancellation(error):
                raise
            check_fence(error, self._fence.role)
            why = failed(error, scrubbing.retry)
            if newer_data_in(error):  # the scrubber has read another run
                newer = Failure(
                    why.error, HOLD_EVENT, delivery.item.event, raised=error, is_counted=False
                )
                return None, newer
            is_fatal = why.fatal or isinstance(error, InvalidInput)  # it would return the same
            return None, Failure(
                why.error, scrubbing.retry, delivery.item.event, is_fatal, why.raised
            )

    async def _hook_entries(self, record: Record) -> tuple[SetAsideKey, ...]:
        """Return the keys of the entries that the hooks have set aside for the run."""
        query = SetAsideQuery(group=hooks_group(self._workflow.name))
        if not self._workflow.checked().hooks:  # earlier code may have had some
            first = partial(self._records.set_aside, replace(query, limit=1))
            if not await self._persist(first):
                return ()
        entries = await self._history(record)
        if not entries or entries[0].version != FIRST:  # retention has removed the other versions
            return await self._all_of(record.run_id, query)
        keys: list[SetAsideKey] = []
        for entry in announced_at(entries):
            event_id = event_id_of(record.run_id, entry.version)
            query = replace(query, event_id=event_id)
            found = await self._persist(partial(self._records.set_aside, query))
            keys += [aside.key for aside in found]
        return tuple(keys)

    async def _all_of(self, run_id: RunId, query: SetAsideQuery) -> tuple[SetAsideKey, ...]:
        """Look through all entries of the hooks for those of a run."""
        keys: list[SetAsideKey] = []
        while page := await self._persist(partial(self._records.set_aside, query)):
            keys += [each.key for each in page if each.event_id.startswith(run_id)]
            query = replace(query, after=page[-1].key)
        return tuple(keys)

    async def _history(self, record: Record) -> list[HistoryEntry]:
        entries: list[HistoryEntry] = []
        after = NO_VERSION
        while after < record.version:
            page = await self._persist(
                partial(self._records.history, record.run_id, after=after, limit=PAGE)
            )
            if not page:
                break
            # without the data, because all of it may not fit into memory
            entries += [_without_data(entry) for entry in page]
            after = page[-1].version
        return entries

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)


def _without_data(entry: HistoryEntry) -> HistoryEntry:
    return entry if entry.data is None else replace(entry, data=None)
