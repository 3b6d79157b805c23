"""`Handle`, whose calls block. `make sync` writes this from client/handle.py."""

from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Generic, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.client import handle as asynchronous
from workflow_ray.client.patience import BY
from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.definition.durations import Duration
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray.sync.run_controls import RunControls

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
M = TypeVar("M")
OfData = TypeVar("OfData", bound=BaseModel)
OfStatus = TypeVar("OfStatus", bound=Status)


class Handle(RunControls[D, S], Generic[D, S]):
    """Reads, waits for, calls back and controls one run. As `workflow_ray.Handle`, but each call
    blocks. Threads may share it.
    """

    def __init__(self, calls: BlockingCalls, original: asynchronous.Handle[D, S]) -> None:
        super().__init__(calls, original)
        self._handle = original
        self.outcome = original.outcome
        """What its trigger led to, such as a new run. None: no trigger returned this handle."""

    def wait_for(
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
        return self._calls.result(
            self._handle.wait_for(status, timeout=timeout, through_errors=through_errors)
        )

    def wait(self, *, timeout: Duration | None = None, through_errors: bool = False) -> Run[D, S]:
        """Wait until the run has ended, completed or cancelled.

        Args:
            timeout: Seconds, or a timedelta. None: no limit.
            through_errors: Go on waiting while an error keeps the run paused.

        Raises:
            WaitTimeout: The time is over.
            RunPaused: An error has paused the run.
            RunNotFound: The run does not exist.
        """
        return self._calls.result(self._handle.wait(timeout=timeout, through_errors=through_errors))

    @overload
    def callback(
        self,
        function: Callable[Concatenate[Run[D, S], M, ...], Any],
        message: M,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    @overload
    def callback(
        self,
        function: str | Callable[Concatenate[Run[D, S], ...], Any],
        message: bytes,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    def callback(
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
        original: Any = self._handle.callback  # its overloads are those above
        return self._calls.result(
            original(function, message, timeout=timeout, idempotency_key=idempotency_key)
        )

    def fork(
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
        return Handle(
            self._calls,
            self._calls.result(
                self._handle.fork(
                    version,
                    foreign_id=foreign_id,
                    idempotency_key=idempotency_key,
                    reason=reason,
                    by=by,
                )
            ),
        )

    @overload
    def children(self) -> Iterator[Run[Any, Any]]: ...
    @overload
    def children(self, workflow: Workflow[OfData, OfStatus]) -> Iterator[Run[OfData, OfStatus]]: ...
    def children(self, workflow: Workflow[Any, Any] | None = None) -> Iterator[Run[Any, Any]]:
        """List the runs that this run has started or joined, by age. They are read page by page.

        Args:
            workflow: The children's workflow. None: every workflow for whose ends the run's
                workflow has a function (`@child`, `@children`), one after the other.

        Raises:
            InvalidInput: `workflow` can't be used. Raised when the first run is asked for.
        """
        original: Any = self._handle.children  # its overloads are those above
        return self._calls.iterate(original(workflow))

    def parents(self, workflow: Workflow[OfData, OfStatus]) -> Iterator[Run[OfData, OfStatus]]:
        """List the runs of a workflow that have started or joined this run, by age.

        Args:
            workflow: The parents' workflow.

        Raises:
            InvalidInput: `workflow` can't be used. Raised when the first run is asked for.
        """
        return self._calls.iterate(self._handle.parents(workflow))
