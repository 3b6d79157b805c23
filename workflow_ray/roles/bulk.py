"""The role that does a workflow's bulk jobs: it controls all runs that pass their filters."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from workflow_ray.definition import Workflow
from workflow_ray.engine.announcements import asked_states
from workflow_ray.engine.bulk import answer, control_of, decide_page, probes_of, settle
from workflow_ray.engine.control import Control, steps_left_delayed
from workflow_ray.engine.delays import delays_left
from workflow_ray.errors import UnknownBulkAction
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    REQUESTS,
    BulkEntry,
    BulkRequest,
    BulkState,
    Committed,
    Fence,
    NewSetAside,
    Record,
    RunId,
    SetAside,
    SetAsideQuery,
    Write,
    WriteGroup,
    bulk_group,
    end_entry,
    job_entry,
    job_key,
)
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

T = TypeVar("T")
LONGEST_PAUSE = 60.0
"""Seconds. A page that took longer has waited for a store that could not be reached."""
_read_job = msgspec.json.Decoder(BulkEntry).decode
_read_request = msgspec.json.Decoder(BulkRequest).decode


@dataclass(frozen=True, slots=True)
class _Settled:
    """A job whose answers this holder knows, and the bytes with which its entry was stored."""

    event: bytes
    job: BulkEntry


class BulkRole:
    """Does the bulk jobs of one workflow, a page of runs at a time.

    The writes of a page and the job's new entry are committed together, so a holder that takes over
    goes on after the last page that was committed. The entry names the runs of that page, because
    some of the writes may have been too late. A holder that has not seen the answers asks for them
    again, by repeating the writes' ids. Jobs take turns: the one whose last page was written first
    is next.
    """

    def __init__(
        self, fence: Fence, workflow: Workflow[Any, Any], records: RecordStore, clock: Clock
    ) -> None:
        self._fence = fence
        self._workflow = workflow
        self._records = records
        self._clock = clock
        self._announced = asked_states(workflow.checked())
        self._settled: dict[str, _Settled] = {}  # by job id

    async def run(self, stop: asyncio.Event) -> None:
        """Do what is asked until `stop`, then finish the page in hand. Raises RoleLost."""
        query = SetAsideQuery(group=bulk_group(self._workflow.name), due=True)

        async def wait() -> list[SetAside]:
            return await self._persist(lambda: self._records.set_aside(query, wait=LONG_POLL))

        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                if due := await until_stopped.wait(wait):
                    await self._work(due, stop)

    async def _work(self, due: Sequence[SetAside], stop: asyncio.Event) -> None:
        """Do what was asked for, or else a page of the first job.

        It pauses for as long as the page took, so that others have the store half of the time at
        least, but not for as long as an outage of the store.
        """
        asked = [entry for entry in due if entry.key.partition == REQUESTS]
        for job_id in dict.fromkeys(entry.event_id for entry in asked):
            await self._answer(job_id, [entry for entry in asked if entry.event_id == job_id])
        if not asked:
            start = self._clock.monotonic()
            await self._do_page(due[0])
            if (taken := self._clock.monotonic() - start) > 0:
                await self._clock.wait(stop, min(taken, LONGEST_PAUSE))

    # --- requests -------------------------------------------------------------------------------

    async def _answer(self, job_id: str, requests: Sequence[SetAside]) -> None:
        """Do what is asked of a job, by the time at which it was asked."""
        job = await self._job(job_id)
        if job is not None and job.state.ended:  # it may be dropped now, and is not written again
            await self._commit(job_id, None, done=requests)
            return
        for entry in sorted(requests, key=lambda entry: (entry.set_aside_at, entry.key)):
            job = answer(job, _read_request(entry.event))
        await self._commit(job_id, job, done=requests)

    async def _job(self, job_id: str) -> BulkEntry | None:
        """Read a job. None: there is none with this id, or it was dropped."""
        query = SetAsideQuery(group=bulk_group(self._workflow.name), event_id=job_id)
        key = job_key(self._workflow.name, job_id)
        found = await self._persist(lambda: self._records.set_aside(query))
        for entry in found:
            if entry.key == key:
                return await self._settle(entry)
        return None

    # --- pages ----------------------------------------------------------------------------------

    async def _do_page(self, entry: SetAside) -> None:
        """Control the next runs of a job: those whose last write was too late, or else a page."""
        job, job_id = await self._settle(entry), entry.event_id
        asked = control_of(job, self._workflow)
        if asked is None:
            if await self._is_outdated(job):
                await self._commit(job_id, msgspec.structs.replace(job, state=BulkState.ABORTED))
                return
            action = job.action if job.to is None else f"{job.action} to status {job.to}"
            raise UnknownBulkAction(self._workflow.name, job_id, action)
        if job.tried:
            found = await self._look_up([each.run_id for each in job.tried])
            gone = len(job.tried) - len(found)
            job = msgspec.structs.replace(job, moved_on=job.moved_on + gone)
        else:
            found = await self._persist(lambda: self._records.runs(job.query))
            if not found:
                await self._commit(job_id, msgspec.structs.replace(job, state=BulkState.DONE))
                return
            query = msgspec.structs.replace(job.query, after=found[-1].run_id)
            job = msgspec.structs.replace(job, query=query)
        delays = await self._delays_left(asked, found)
        page = decide_page(job_id, job, asked, self._announced, found, delays)
        await self._commit(job_id, page.job, page.writes, wakes=page.entries)

    async def _delays_left(self, asked: Control, found: Sequence[Record]) -> Mapping[RunId, float]:
        """Read what is left of the delays of steps, where the control leaves them be."""
        if not (steps := steps_left_delayed(asked, found)):
            return {}
        ask = partial(self._records.activity, limit=len(steps), steps=steps)
        return delays_left(await self._persist(ask))

    async def _is_outdated(self, job: BulkEntry) -> bool:
        """Whether a deploy since its start has taken away the status that it moves runs to."""
        deployment = await self._persist(self._records.deployment)
        return any(
            deployed.name == self._workflow.name
            and deployed.shape is not None
            and job.to in deployed.shape.gone.values()
            for deployed in deployment.workflows
        )

    async def _commit(
        self,
        job_id: str,
        job: BulkEntry | None,
        writes: tuple[Write, ...] = (),
        *,
        done: Sequence[SetAside] = (),
        wakes: tuple[NewSetAside, ...] = (),
    ) -> None:
        """Store a job together with the writes of its page, or with what was asked of it.

        Args:
            job_id: The job.
            job: The job. None: what was asked for concerns no job.
            writes: Of the page, in the order of the job's `tried`.
            done: What was asked for, to be taken back.
            wakes: Entries that another role works on because of the writes.
        """
        name = self._workflow.name
        entries = [] if job is None else [job_entry(name, job_id, job)]
        if job is not None and job.state.ended:
            entries.append(end_entry(name, job_id))
        group = WriteGroup(
            writes=writes,
            set_aside=(*entries, *wakes),
            taken_back=tuple(entry.key for entry in done),
            fence=self._fence,
        )
        committed = await self._store(group)
        self._settled.pop(job_id, None)
        if job is not None and not job.state.ended:
            job = settle(job, committed.results) if writes else job
            self._settled[job_id] = _Settled(entries[0].event, job)

    async def _settle(self, entry: SetAside) -> BulkEntry:
        """Read a job, with its last page counted. `tried` has the writes that were too late."""
        known = self._settled.get(entry.event_id)
        if known is not None and known.event == entry.event:
            return known.job
        job = _read_job(entry.event)
        if not job.tried:
            return job
        found = await self._look_up([each.run_id for each in job.tried])
        by_id = {record.run_id: record for record in found}
        job, probes = probes_of(entry.event_id, job, by_id)
        if probes:
            committed = await self._store(WriteGroup(writes=probes, fence=self._fence))
            job = settle(job, committed.results)
        self._settled[entry.event_id] = _Settled(entry.event, job)
        return job

    async def _look_up(self, run_ids: Sequence[RunId]) -> list[Record]:
        """Read the runs that exist, where writes commit."""
        found: list[Record | None] = []
        while rest := run_ids[len(found) :]:
            found += await self._persist(partial(self._records.lookup, rest, fresh=True))
        return [record for record in found if record is not None]

    async def _store(self, group: WriteGroup) -> Committed:
        return await store_fenced(self._records, group, self._clock)

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)
