"""The handle of one run: read it, wait for it, control it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.attendance import Attendance
from workflow_ray.client.controls import apply, check_allowed, control
from workflow_ray.client.following import PAGE, follow
from workflow_ray.client.history import Entry
from workflow_ray.client.inputs import checked_status
from workflow_ray.client.patience import BY
from workflow_ray.client.triggers import TriggerOutcome
from workflow_ray.client.watcher import Watcher
from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.definition.arguments import checked_count, checked_flag
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.engine.control import Action, Control
from workflow_ray.engine.prospects import Prospect, is_paused_by_error, outlook
from workflow_ray.engine.runs import status_name, view_of
from workflow_ray.errors import RunNotFound, RunPaused, RunUnreachable, WaitTimeout
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import NO_VERSION, HistoryEntry, Record, RunId, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

SHOWN = 5
"""The number of history entries that a WaitTimeout shows."""


class Handle(Generic[D, S]):
    """Reads, waits for and controls one run. It is cheap: it has no connection of its own."""

    def __init__(
        self,
        workflow: Workflow[D, S],
        records: RecordStore,
        impatient: RecordStore,
        clock: Clock,
        watcher: Watcher,
        attendance: Attendance,
        run_id: RunId,
        started: Version | None = None,
        outcome: TriggerOutcome | None = None,
    ) -> None:
        """Make a handle.

        Args:
            workflow: The run's workflow.
            records: The store.
            impatient: The same store, but it gives up soon if the store does not answer. A wait
                that has timed out asks it.
            clock: Measures the waits.
            watcher: Wakes the waits.
            attendance: Tells whether a process runs the workflow.
            run_id: The run.
            started: The version that its trigger has just written, if the run takes steps from
                there. It need not be looked up.
            outcome: What its trigger led to. None: no trigger returned this handle.
        """
        self._workflow = workflow
        self._records = records
        self._impatient = impatient
        self._clock = clock
        self._watcher = watcher
        self._attendance = attendance
        self._started = started
        self.run_id = run_id
        self.outcome = outcome
        """What its trigger led to, such as a new run. None: no trigger returned this handle."""

    def __repr__(self) -> str:
        return f"<Handle {self._workflow.name} {self.run_id}>"

    async def get(self) -> Run[D, S]:
        """Return the run as it stands now. Raises RunNotFound."""
        return view_of(self._workflow, await self._record())

    async def history(self) -> list[Entry[D, S]]:
        """List every version of the run, from the first. Raises RunNotFound."""
        record = await self._record()
        return [Entry(self._workflow, entry) for entry in await self._entries(record.version)]

    def follow(self, *, after: int = 0) -> AsyncIterator[Entry[D, S]]:
        """Yield every version of the run above `after`, in order, as soon as it is written.

        It ends after the version that ends the run. Each version is yielded once. Nothing is held
        between two versions, so a consumer may be slow, or go on later from the last version that
        it has seen.

        Args:
            after: A version. 0: from the first.

        Raises:
            RunNotFound: The run does not exist. Raised by the first step of the iteration.
            InvalidInput: `after` is not a whole number from 0 up.
        """
        start = after if after == 0 else checked_count("after", after)
        return follow(self._workflow, self._records, self._watcher, self._record, Version(start))

    async def wait_for(
        self, status: S, *, timeout: Duration | None = None, through_errors: bool = False
    ) -> Run[D, S]:
        """Wait until the run is at the status, or has been there.

        Args:
            status: A status of the run's workflow.
            timeout: Seconds, or a timedelta. None: no limit.
            through_errors: Go on waiting while an error keeps the run paused.

        Returns:
            The run as it stands then. It may be past the status.

        Raises:
            WaitTimeout: The time is over.
            RunUnreachable: No transition leads to the status any more. Raised at once.
            RunPaused: An error has paused the run.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used.
        """
        status = checked_status("status", self._workflow, status)
        graph, names = self._workflow.checked(), {s.value: s.name for s in self._workflow.statuses}
        visited: set[int] = set()
        read = NO_VERSION

        async def there(record: Record) -> bool:
            nonlocal read
            visited.add(record.status)
            if record.status != status.value:  # It may have been there between two looks.
                entries = await self._entries(record.version, after=read)
                # Versions above the record's were written since: the next look finds the run there.
                visited.update(entry.status for entry in entries if entry.version <= record.version)
                read = record.version
            view = outlook(record, visited, status, graph, names)
            if view.prospect is Prospect.UNREACHABLE:
                raise RunUnreachable(self.run_id, status.name, view.why)
            return view.prospect is Prospect.THERE

        return await self._until(there, status.name, timeout, through_errors)

    async def wait(
        self, *, timeout: Duration | None = None, through_errors: bool = False
    ) -> Run[D, S]:
        """Wait until the run has ended, completed or cancelled.

        Args:
            timeout: Seconds, or a timedelta. None: no limit.
            through_errors: Go on waiting while an error keeps the run paused.

        Raises:
            WaitTimeout: The time is over.
            RunPaused: An error has paused the run.
            RunNotFound: The run does not exist.
        """

        async def ended(record: Record) -> bool:
            return record.run_state.finished

        return await self._until(ended, "its end", timeout, through_errors, at_rest=True)

    async def pause(self, reason: str, *, by: str = BY) -> Run[D, S]:
        """Pause the run: it takes no further step until it is resumed.

        A step that is under way is not interrupted. If the pause commits first, the step's result
        is dropped, and the step runs again after `resume`. If the step commits first, the run is
        paused at its next status. A run that is already paused stays as it is.

        Args:
            reason: Why the run is paused. The history keeps up to 2,000 characters.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is finished.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        return await self._control(control(Action.PAUSE, by, reason))

    async def resume(self, reason: str | None = None, *, by: str = BY) -> Run[D, S]:
        """Resume a paused run: it goes on from its status.

        A run that an error has paused gets all attempts of its step again. A run that is not paused
        stays as it is.

        Args:
            reason: Why it goes on. The history keeps up to 2,000 characters.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is finished.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        return await self._control(control(Action.RESUME, by, reason))

    async def retry(self, reason: str | None = None, *, by: str = BY) -> Run[D, S]:
        """Try the step of a failed run again, at once and with all its attempts.

        An error has paused the run, or the run waits for its next attempt.

        Args:
            reason: Why it is tried again. The history keeps up to 2,000 characters.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: No attempt has failed, or the run is finished.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        return await self._control(control(Action.RETRY, by, reason))

    async def cancel(self, reason: str, *, by: str = BY) -> Run[D, S]:
        """Cancel the run: it ends, and its foreign id is free again.

        A step that is under way is not interrupted, but its result is dropped. A cancelled run
        stays as it is.

        Args:
            reason: Why the run is cancelled. The history keeps up to 2,000 characters.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is finished.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        return await self._control(control(Action.CANCEL, by, reason))

    async def _control(self, asked: Control) -> Run[D, S]:
        outcomes = await apply(self._records, asked, [await self._record()])
        check_allowed(self.run_id, asked, outcomes[self.run_id])
        return await self.get()

    async def _until(
        self,
        reached: Callable[[Record], Awaitable[bool]],
        wanted: str,
        timeout: Duration | None,
        through_errors: bool,
        *,
        at_rest: bool = False,
    ) -> Run[D, S]:
        """Wait until the run has reached something.

        at_rest: That can only be while the run is at rest, so earlier versions are not looked at.
        """
        seconds = None if timeout is None else seconds_of("timeout", timeout)
        checked_flag("through_errors", through_errors)
        start = self._clock.monotonic()
        record = None if at_rest and self._started else await self._record()
        while record is None or not await reached(record):
            if record is not None and is_paused_by_error(record) and not through_errors:
                raise RunPaused(
                    self.run_id, status_name(self._workflow, record.status), record.reason or ""
                )
            left = None if seconds is None else start + seconds - self._clock.monotonic()
            seen = self._started if record is None else record.version
            newer = await self._watcher.newer(
                self.run_id, seen or NO_VERSION, wait=left, at_rest=at_rest
            )
            if newer is None:
                raise await self._timed_out(wanted, seconds or 0.0)
            record = newer
        return view_of(self._workflow, record)

    async def _record(self, records: RecordStore | None = None) -> Record:
        (record,) = await (records or self._records).lookup([self.run_id])
        if record is None or record.workflow != self._workflow.name:
            raise RunNotFound(self._workflow.name, self.run_id)
        return record

    async def _entries(
        self, upto: Version, *, after: Version = NO_VERSION, records: RecordStore | None = None
    ) -> list[HistoryEntry]:
        """Read the entries of the versions above `after`, up to `upto` at least."""
        asked = records or self._records
        entries: list[HistoryEntry] = []
        while after < upto and (read := await asked.history(self.run_id, after=after, limit=PAGE)):
            entries += read
            after = read[-1].version
        return entries

    async def _timed_out(self, wanted: str, seconds: float) -> WaitTimeout:
        record = await self._record(self._impatient)
        before = Version(max(NO_VERSION, record.version - SHOWN))
        last = await self._entries(record.version, after=before, records=self._impatient)
        history = [str(Entry(self._workflow, entry)) for entry in last]
        excuse = await self._attendance.excuse(record)
        return WaitTimeout(self.run_id, wanted, seconds, history, excuse)
