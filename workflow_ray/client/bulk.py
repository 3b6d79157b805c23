"""Bulk jobs: one control for all runs that pass filters, done by a role of the workflow."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from workflow_ray.client.bulk_progress import BulkPreview, BulkProgress, progress_of
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.inputs import checked_job_id
from workflow_ray.client.shared_calls import LONG_POLL
from workflow_ray.client.writer import Writer
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.engine.control import Control, Refused, Unchanged, decide_control
from workflow_ray.engine.next_version import kept
from workflow_ray.errors import (
    BulkJobNotFound,
    BulkJobRefused,
    BulkNotDeployed,
    BulkWaitTimeout,
)
from workflow_ray.ports import Clock
from workflow_ray.records import (
    BulkEntry,
    BulkRequest,
    BulkState,
    RunQuery,
    SetAside,
    SetAsideKey,
    SetAsideQuery,
    WriteGroup,
    bulk_end_group,
    bulk_group,
    end_entry,
    new_bulk_id,
    new_write_id,
    request_entry,
)

RESOLUTION = timedelta(microseconds=1)
"""Between two times of a store."""


class BulkJobs:
    """The bulk jobs of one workflow, by its name.

    Args:
        workflow: The workflow's name.
        writer: Commits what is asked for.
        clock: Measures the waits.
        quiet: Called when a wait has brought nothing for a while.
    """

    def __init__(
        self,
        workflow: str,
        writer: Writer,
        clock: Clock,
        quiet: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.workflow = workflow
        self._writer = writer
        self._records = writer.records
        self._clock = clock
        self._quiet = quiet

    async def start(self, asked: Control, query: RunQuery) -> "BulkJob":
        """Start a job for the runs that exist now.

        Raises:
            UnknownWorkflow, BulkNotDeployed: No role would do it. Nothing was written.
        """
        await self._check_deployed()
        now = (await self._records.activity(limit=1)).now
        end = now + RESOLUTION
        before = end if query.created_before is None else min(end, query.created_before)
        job = BulkEntry(
            query=msgspec.structs.replace(query, created_before=before),
            action=asked.action.verb,
            by=asked.by,
            reason=None if asked.reason is None else kept(asked.reason),
            to=None if asked.to is None else asked.to.status.value,
            asked_at=now,
        )
        job_id = new_bulk_id()
        await self._request(job_id, BulkRequest(start=job))
        return BulkJob(self, job_id)

    async def preview(self, asked: Control, query: RunQuery) -> BulkPreview:
        """Count what a job would do now. It reads every run that passes the filters."""
        changed = unchanged = refused = 0
        while page := await self._records.runs(query):
            for record in page:
                match decide_control(record, asked, write_id=new_write_id()):
                    case Unchanged():
                        unchanged += 1
                    case Refused():
                        refused += 1
                    case _:
                        changed += 1
            query = msgspec.structs.replace(query, after=page[-1].run_id)
        return BulkPreview(changed=changed, unchanged=unchanged, refused=refused)

    async def listed(self) -> list[BulkProgress]:
        """Return the jobs that are kept, the oldest first."""
        query = SetAsideQuery(group=bulk_group(self.workflow))
        entries: dict[str, list[SetAside]] = defaultdict(list)
        while page := await self._records.set_aside(query):
            for entry in page:
                entries[entry.event_id].append(entry)
            query = msgspec.structs.replace(query, after=page[-1].key)
        found = [progress_of(job_id, of_job) for job_id, of_job in sorted(entries.items())]
        return [progress for progress in found if progress is not None]

    def job(self, job_id: str) -> "BulkJob":
        """Return the job with this id. Only its use shows whether it exists."""
        return BulkJob(self, checked_job_id(job_id))

    async def progress(self, job_id: str) -> BulkProgress:
        """Read a job. Raises BulkJobNotFound."""
        return (await self._read(job_id))[0]

    async def ask(self, job_id: str, state: BulkState, verb: str) -> BulkProgress:
        """Ask for another state. Raises BulkJobNotFound, BulkJobRefused."""
        progress = await self.progress(job_id)
        if progress.state.ended:
            raise BulkJobRefused(self.workflow, job_id, verb, f"it is {progress.state.value}")
        if (progress.asked or progress.state) is state:
            return progress
        await self._request(job_id, BulkRequest(state=state))
        return await self.progress(job_id)

    async def drop(self, job_id: str) -> None:
        """Remove a job that has ended. Raises BulkJobNotFound, BulkJobRefused."""
        progress, keys = await self._read(job_id)
        if not progress.state.ended:
            why = f"it is {progress.state.value}. Abort it, and wait for its end"
            raise BulkJobRefused(self.workflow, job_id, "drop", why)
        keys = (*keys, end_entry(self.workflow, job_id).key)
        await self._writer.commit(WriteGroup(taken_back=keys))

    async def wait(self, job_id: str, seconds: float | None) -> BulkProgress:
        """Wait until a job has ended. Raises BulkJobNotFound, BulkWaitTimeout."""
        query = SetAsideQuery(group=bulk_end_group(self.workflow, job_id), due=True)
        start = self._clock.monotonic()
        while not (progress := await self.progress(job_id)).state.ended:
            left = LONG_POLL if seconds is None else start + seconds - self._clock.monotonic()
            if left <= 0:
                raise BulkWaitTimeout(self.workflow, job_id, seconds or 0.0, str(progress))
            found = await self._records.set_aside(query, wait=min(left, LONG_POLL))
            if not found and self._quiet is not None:
                await self._quiet()
        return progress

    async def _read(self, job_id: str) -> tuple[BulkProgress, tuple[SetAsideKey, ...]]:
        """Return a job, and the keys of all entries that concern it. Raises BulkJobNotFound."""
        query = SetAsideQuery(group=bulk_group(self.workflow), event_id=job_id)
        entries = await self._records.set_aside(query)
        progress = progress_of(job_id, entries)
        if progress is None:
            raise BulkJobNotFound(self.workflow, job_id)
        return progress, tuple(entry.key for entry in entries)

    async def _request(self, job_id: str, request: BulkRequest) -> None:
        entry = request_entry(self.workflow, job_id, new_bulk_id(), request)
        await self._writer.commit(WriteGroup(set_aside=(entry,)))

    async def _check_deployed(self) -> None:
        deployed = find_deployed(await self._records.deployment(), self.workflow)
        if bulk_group(self.workflow) not in deployed.groups:
            raise BulkNotDeployed(self.workflow)


class BulkJob:
    """A bulk job: read how far it is, wait for its end, control it. It needs no closing."""

    def __init__(self, jobs: BulkJobs, job_id: str) -> None:
        self._jobs = jobs
        self.id = job_id

    def __repr__(self) -> str:
        return f"<BulkJob {self._jobs.workflow} {self.id}>"

    async def progress(self) -> BulkProgress:
        """Return how far the job is. Raises BulkJobNotFound."""
        return await self._jobs.progress(self.id)

    async def wait(self, *, timeout: Duration | None = None) -> BulkProgress:
        """Wait until the job is done or aborted. All its writes are committed then.

        Args:
            timeout: Seconds, or a timedelta. None: no limit, also while the job is paused.

        Returns:
            The job, with the final counts.

        Raises:
            BulkWaitTimeout: The time is over. The job goes on.
            BulkJobNotFound: It does not exist.
            InvalidInput: The timeout can't be used.
        """
        seconds = None if timeout is None else seconds_of("timeout", timeout)
        return await self._jobs.wait(self.id, seconds)

    async def pause(self) -> BulkProgress:
        """Let the job rest after the page in hand. A job that is paused stays so.

        Returns:
            The job. `asked` is PAUSED until its role has seen it.

        Raises:
            BulkJobRefused: It has ended.
            BulkJobNotFound: It does not exist.
        """
        return await self._jobs.ask(self.id, BulkState.PAUSED, "pause")

    async def resume(self) -> BulkProgress:
        """Let a paused job go on after its last page. A job that runs goes on.

        Returns:
            The job. `asked` is RUNNING until its role has seen it.

        Raises:
            BulkJobRefused: It has ended.
            BulkJobNotFound: It does not exist.
        """
        return await self._jobs.ask(self.id, BulkState.RUNNING, "resume")

    async def abort(self) -> BulkProgress:
        """End the job after the page in hand. Runs that were changed stay so.

        Returns:
            The job. `asked` is ABORTED until its role has seen it.

        Raises:
            BulkJobRefused: It has ended.
            BulkJobNotFound: It does not exist.
        """
        return await self._jobs.ask(self.id, BulkState.ABORTED, "abort")

    async def drop(self) -> None:
        """Remove the job, which has ended, from the list.

        Raises:
            BulkJobRefused: It has not ended.
            BulkJobNotFound: It does not exist.
        """
        await self._jobs.drop(self.id)
