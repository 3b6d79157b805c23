"""The controls of one run: pause, resume, retry, cancel, move and delete_data."""

from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.controls import apply, check_allowed, control
from workflow_ray.client.inputs import checked_status
from workflow_ray.client.patience import BY
from workflow_ray.client.run_reader import RunReader
from workflow_ray.definition import Run, Status
from workflow_ray.engine.announcements import asked_states
from workflow_ray.engine.control import Action, Control, Destination

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class RunControls(RunReader[D, S], Generic[D, S]):
    """Reads and controls one run."""

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

    async def cancel(self, reason: str, *, cascade: bool | None = None, by: str = BY) -> Run[D, S]:
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
        return await self._control(control(Action.CANCEL, by, reason, cascade=cascade))

    async def move(self, status: S, reason: str, *, by: str = BY) -> Run[D, S]:
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
        status = checked_status("status", self._workflow, status)
        to = Destination(self._workflow, status)
        return await self._control(control(Action.MOVE, by, reason, to=to))

    async def delete_data(self, *, by: str = BY) -> Run[D, S]:
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
        return await self._control(control(Action.DELETE_DATA, by))

    async def _control(self, asked: Control) -> Run[D, S]:
        workflow = self._connection.workflow
        announced = {workflow.name: asked_states(workflow.checked())}
        outcomes = await apply(self._connection.writer, asked, [await self._record()], announced)
        check_allowed(self.run_id, asked, outcomes[self.run_id])
        return await self.get()
