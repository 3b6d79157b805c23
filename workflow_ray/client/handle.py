"""The handle of one run: read it, wait for it, call it back, control it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Concatenate, Generic, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.client import family
from workflow_ray.client.callbacks import Target, call
from workflow_ray.client.connection import Connection
from workflow_ray.client.forks import Fork, Forks
from workflow_ray.client.inputs import checked_status
from workflow_ray.client.patience import BY
from workflow_ray.client.run_controls import RunControls
from workflow_ray.client.standing import timed_out
from workflow_ray.client.triggers import TriggerOutcome
from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.definition.arguments import checked_flag
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.engine.prospects import Prospect, is_paused_by_error, outlook
from workflow_ray.engine.runs import status_name, view_of
from workflow_ray.errors import RunPaused, RunUnreachable
from workflow_ray.records import NO_VERSION, Record, RunId, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
M = TypeVar("M")
OfData = TypeVar("OfData", bound=BaseModel)
OfStatus = TypeVar("OfStatus", bound=Status)


class Handle(RunControls[D, S], Generic[D, S]):
    """Reads, waits for, calls back and controls one run. It is cheap: it has no connection of its
    own.
    """

    def __init__(
        self,
        connection: Connection[D, S],
        run_id: RunId,
        started: Version | None = None,
        outcome: TriggerOutcome | None = None,
    ) -> None:
        """Make a handle.

        Args:
            connection: The store of the run, which the client shares.
            run_id: The run.
            started: The version that its trigger has just written, if the run takes steps from
                there. It need not be looked up.
            outcome: What its trigger led to. None: no trigger returned this handle.
        """
        super().__init__(connection, run_id)
        self._started = started
        self.outcome = outcome
        """What its trigger led to, such as a new run. None: no trigger returned this handle."""

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

    @overload
    async def callback(
        self,
        function: Callable[Concatenate[Run[D, S], M, ...], Any],
        message: M,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    @overload
    async def callback(
        self,
        function: str | Callable[Concatenate[Run[D, S], ...], Any],
        message: bytes,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    async def callback(
        self,
        function: object,
        message: object,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]:
        """Send the run a message for one of its callbacks, and wait for the answer.

        The message is stored when the wait begins, so that nothing is lost if the caller gives up:
        a call with the same key gets the first answer, also when the run has ended since. A paused
        run takes its messages when it is resumed.

        Args:
            function: The callback, or its name.
            message: What the callback takes. Bytes are JSON, for callers without the type.
            timeout: Seconds, or a timedelta, for which the answer is waited for. None: no limit.
            idempotency_key: 1 to 255 characters, unique among the workflow's callbacks, for good.
                None: each call is a new one.

        Returns:
            The run as the callback has left it.

        Raises:
            CallbackTooEarly: The run is not yet at a status that accepts the callback. Nothing was
                written.
            CallbackTooLate: The run won't come to such a status any more, or another transition was
                faster than the callback.
            RunFinished: The run is finished. Nothing was written.
            RunNotFound: The run does not exist.
            InvalidMessage: The message does not fit. Nothing was written.
            CallbackFailed: The callback's function has failed. The run stays where it is.
            CallbackExpired: The message was kept as long as `early=` says, and is not any more.
            WaitTimeout: The time is over. The message stays.
            KeyReused: The key was used for another run, callback or message.
            InvalidInput: Another argument can't be used. Nothing was written.
        """
        return await call(
            self._connection,
            Target(run_id=self.run_id),
            function,
            message,
            timeout=timeout,
            idempotency_key=idempotency_key,
        )

    async def fork(
        self,
        version: int,
        *,
        foreign_id: str | None = None,
        idempotency_key: str | None = None,
        reason: str | None = None,
        by: str = BY,
    ) -> "Handle[D, S]":
        """Start a new run that begins as this run was at one of its versions.

        It has the data and the status of that version, and enters the status as a trigger's run
        does: its timeouts are set and its step runs. Timeouts, messages, children and results of
        `once` of this run are not copied. This run stays as it is, finished or not.

        Args:
            version: A version of the history, from 1.
            foreign_id: The new run's key, 1 to 255 characters. None: that of this run.
            idempotency_key: 1 to 255 characters, unique among the keys of the workflow's triggers
                and forks, for good. A fork that is repeated with it gets the first run. None: each
                call is a new one.
            reason: Why. The history of the new run keeps up to 2,000 characters, after the run and
                the version that it begins with.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The new run's handle. Its `outcome` is STARTED, or KNOWN for a repeat.

        Raises:
            RunActive: The foreign id has an unfinished run, which may be this one.
            KeyReused: The key was used with another foreign id, status or data.
            RunNotFound: This run does not exist.
            UnknownStatus: The code does not have the version's status.
            UnreadableData: The version's data does not fit the model.
            InvalidInput: An argument can't be used, or this run has no such version. Nothing was
                written.
        """
        asked = Fork(
            version=version,
            foreign_id=foreign_id,
            idempotency_key=idempotency_key,
            reason=reason,
            by=by,
        )
        forked = await Forks(self._connection, self.run_id).make(asked)
        return Handle(self._connection, forked.run_id, forked.started, forked.outcome)

    @overload
    def children(self) -> AsyncIterator[Run[Any, Any]]: ...
    @overload
    def children(
        self, workflow: Workflow[OfData, OfStatus]
    ) -> AsyncIterator[Run[OfData, OfStatus]]: ...
    def children(self, workflow: Workflow[Any, Any] | None = None) -> AsyncIterator[Run[Any, Any]]:
        """List the runs that this run has started or joined, by age. They are read page by page.

        Args:
            workflow: The children's workflow. None: every workflow for whose ends the run's
                workflow has a function (`@child`, `@children`), one after the other.

        Raises:
            InvalidInput: `workflow` can't be used. Raised when the first run is asked for.
        """
        return family.children(self._connection, self.run_id, workflow)

    def parents(self, workflow: Workflow[OfData, OfStatus]) -> AsyncIterator[Run[OfData, OfStatus]]:
        """List the runs of a workflow that have started or joined this run, by age.

        Args:
            workflow: The parents' workflow.

        Raises:
            InvalidInput: `workflow` can't be used. Raised when the first run is asked for.
        """
        return family.parents(self._connection, self.run_id, workflow)

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
        start = self._connection.clock.monotonic()
        record = None if at_rest and self._started else await self._record()
        while record is None or not await reached(record):
            if record is not None and is_paused_by_error(record) and not through_errors:
                raise RunPaused(
                    self.run_id, status_name(self._workflow, record.status), record.reason or ""
                )
            left = None if seconds is None else start + seconds - self._connection.clock.monotonic()
            seen = self._started if record is None else record.version
            newer = await self._connection.watcher.newer(
                self.run_id, seen or NO_VERSION, wait=left, at_rest=at_rest
            )
            if newer is None:
                raise await timed_out(self._connection, self.run_id, wanted, seconds or 0.0)
            record = newer
        return view_of(self._workflow, record)
