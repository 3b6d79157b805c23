"""`RunControls`, whose calls block. `make sync` writes this from client/run_controls.py."""

from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client import run_controls as asynchronous
from workflow_ray.client.patience import BY
from workflow_ray.definition import Run, Status
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray.sync.run_reader import RunReader

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class RunControls(RunReader[D, S], Generic[D, S]):
    """Reads and controls one run."""

    def __init__(self, calls: BlockingCalls, original: asynchronous.RunControls[D, S]) -> None:
        super().__init__(calls, original)
        self._run_controls = original

    def pause(self, reason: str, *, by: str = BY) -> Run[D, S]:
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
        return self._calls.result(self._run_controls.pause(reason, by=by))

    def resume(self, reason: str | None = None, *, by: str = BY) -> Run[D, S]:
        """Resume a paused run: it goes on from its status.

        A run that an error has paused gets all attempts of its step again. If the step waits for a
        time, as with `trigger(delay=)`, it runs when that has come. A run that is not paused stays
        as it is.

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
        return self._calls.result(self._run_controls.resume(reason, by=by))

    def retry(self, reason: str | None = None, *, by: str = BY) -> Run[D, S]:
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
        return self._calls.result(self._run_controls.retry(reason, by=by))

    def cancel(self, reason: str, *, cascade: bool | None = None, by: str = BY) -> Run[D, S]:
        """Cancel the run: it ends, and its foreign id is free again.

        A step that is under way is not interrupted, but its result is dropped; `run.cancelled`
        tells it. A cancelled run stays as it is, and so do its children.

        Args:
            reason: Why the run is cancelled. The history keeps up to 2,000 characters.
            cascade: Which of its unfinished children are cancelled after it. None: those that were
                started with `cascade=True`, and theirs. True: all of them, joined ones too, and all
                of theirs, through any depth. False: none. The choice is stored with the
                cancellation, so that a crash does not cut it off.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is finished.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        return self._calls.result(self._run_controls.cancel(reason, cascade=cascade, by=by))

    def move(self, status: S, reason: str, *, by: str = BY) -> Run[D, S]:
        """Move the run to a status, as if a transition led there: it enters it in a new visit.

        Its timeouts are set, messages that it accepts are taken, and its step runs. A status
        without functions completes the run. The status that the run leaves does nothing more: its
        timeouts and results of `once` are void. A paused or failed run goes on. The data stays.

        A step that is under way is not interrupted. If the move commits first, the step's result is
        dropped; `run.cancelled` tells it. If the step commits first, the run is moved from its next
        status, unless it has ended.

        Args:
            status: A status of the run's workflow, also the one where it stands.
            reason: Why the run is moved. The history keeps up to 2,000 characters.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is finished, or a timeout of the status can't be set.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        return self._calls.result(self._run_controls.move(status, reason, by=by))

    def delete_data(self, *, by: str = BY) -> Run[D, S]:
        """Have the data of the run deleted, for good, from everything that is kept of it.

        The run must be finished. It becomes REQUESTED_DATA_DELETED at once, and DATA_DELETED when a
        role of the workflow has called the workflow's scrubber and has deleted the data of every
        version, reasons, error texts, labels, payloads of messages, results of `once`, and dead
        letters of its hooks, all in one commit. Ids, keys, causes, times and outcomes stay.
        `follow` ends after that commit. A run whose data is deleted stays as it is. If the scrubber
        has failed for good, it is called again, with all its attempts.

        Children, parents and forks are runs of their own: their data stays.

        Args:
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is not finished.
            RunNotFound: The run does not exist.
            InvalidInput: `by` can't be used. Nothing was written.
        """
        return self._calls.result(self._run_controls.delete_data(by=by))
