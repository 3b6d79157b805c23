"""Controls all runs of one workflow that pass filters."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.client.bulk import BulkJob, BulkJobs
from workflow_ray.client.bulk_progress import BulkPreview, BulkProgress
from workflow_ray.client.controls import control
from workflow_ray.client.inputs import checked_status
from workflow_ray.client.patience import BY
from workflow_ray.client.run_controls import RunControls
from workflow_ray.client.run_list import RunList
from workflow_ray.client.run_queries import run_query
from workflow_ray.client.run_reader import RunReader
from workflow_ray.definition import Run, Status
from workflow_ray.definition.arguments import checked_flag, checked_text, shown
from workflow_ray.engine.bulk import ACTIONS
from workflow_ray.engine.control import Action, Destination
from workflow_ray.errors import InvalidInput
from workflow_ray.records import RunId, RunState

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
BulkAction: TypeAlias = Literal["pause", "resume", "retry", "cancel", "move", "delete_data"]


class BulkControls(RunList[D, S], Generic[D, S]):
    """Reads the runs of one workflow, and controls all that pass filters."""

    @overload
    async def bulk(
        self,
        action: BulkAction,
        reason: str | None = None,
        *,
        to: S | None = None,
        status: S | Collection[S] | None = None,
        run_state: RunState | Collection[RunState] | None = None,
        failed: bool = False,
        foreign_id: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        updated_before: datetime | None = None,
        parent: RunReader[Any, Any] | str | None = None,
        child: RunReader[Any, Any] | str | None = None,
        labels: Mapping[str, str] | None = None,
        by: str = BY,
        dry_run: Literal[False] = False,
    ) -> BulkJob: ...
    @overload
    async def bulk(
        self,
        action: BulkAction,
        reason: str | None = None,
        *,
        to: S | None = None,
        status: S | Collection[S] | None = None,
        run_state: RunState | Collection[RunState] | None = None,
        failed: bool = False,
        foreign_id: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        updated_before: datetime | None = None,
        parent: RunReader[Any, Any] | str | None = None,
        child: RunReader[Any, Any] | str | None = None,
        labels: Mapping[str, str] | None = None,
        by: str = BY,
        dry_run: Literal[True],
    ) -> BulkPreview: ...
    async def bulk(
        self,
        action: BulkAction,
        reason: str | None = None,
        *,
        to: S | None = None,
        status: S | Collection[S] | None = None,
        run_state: RunState | Collection[RunState] | None = None,
        failed: bool = False,
        foreign_id: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        updated_before: datetime | None = None,
        parent: RunReader[Any, Any] | str | None = None,
        child: RunReader[Any, Any] | str | None = None,
        labels: Mapping[str, str] | None = None,
        by: str = BY,
        dry_run: bool = False,
    ) -> BulkJob | BulkPreview:
        """Pause, resume, retry, cancel or move all runs that pass all filters, or have their data
        deleted, as a durable job.

        The job is stored when this returns. A role of the workflow does it, 500 runs at a time,
        and goes on where it was after a crash: each run gets one version at most. A run that a
        step changes at the same time is tried again, if it still passes the filters. Runs that are
        triggered later are left alone. Without filters the job concerns every run.

        Args:
            action: What to do with each run: "pause", "resume", "retry", "cancel", "move" or
                "delete_data", as the methods of a handle describe it. A run that does not allow it
                is counted as refused.
            reason: Why. The history keeps up to 2,000 characters. "pause", "cancel" and "move" need
                one, and "delete_data" takes none.
            to: Of "move": the status to which runs are moved, those that stand there too.
            status: One status, or several: any of them.
            run_state: One run state, or several: any of them.
            failed: Only runs that an error has paused.
            foreign_id: The caller's key.
            created_from: The earliest creation time, with a timezone.
            created_before: The end of the creation times, itself excluded, with a timezone.
            updated_before: The end of the times of the last version, itself excluded, with a
                timezone.
            parent: A run, as its handle or its id: only runs that it has started or joined.
            child: A run, as its handle or its id: only runs that have started or joined it.
            labels: Only runs that have all of these labels, with these values. None: not filtered.
            by: Who asks for it, 1 to 255 characters, for the history.
            dry_run: Change nothing: count what a job would do now. That reads all these runs.

        Returns:
            The job; with `dry_run` the counts.

        Raises:
            InvalidInput: An argument can't be used. Nothing was written.
            UnknownWorkflow: The workflow is not deployed. Nothing was written.
            BulkNotDeployed: It is deployed by a version of workflow_ray without bulk jobs. Nothing
                was written.
        """
        action_of_each = checked_action(action)
        destination = self._destination(action_of_each, to)
        asked = control(action_of_each, by, reason, to=destination)
        query = run_query(
            self._workflow,
            status=status,
            run_state=run_state,
            failed=failed,
            foreign_id=foreign_id,
            created_from=created_from,
            created_before=created_before,
            updated_before=updated_before,
            parent=parent,
            child=child,
            labels=labels,
        )
        if checked_flag("dry_run", dry_run):
            return await self._bulk_jobs().preview(asked, query)
        return await self._bulk_jobs().start(asked, query)

    async def delete_data(self, run_id: str, *, by: str = BY) -> Run[D, S]:
        """Have the data of a run deleted, for good. See `Handle.delete_data`.

        Args:
            run_id: The run.
            by: Who asks for it, 1 to 255 characters, for the history.

        Returns:
            The run as it stands then.

        Raises:
            ControlRefused: The run is not finished.
            RunNotFound: The run does not exist.
            InvalidInput: An argument can't be used. Nothing was written.
        """
        run = RunControls(self._connection, RunId(checked_text("run_id", run_id)))
        return await run.delete_data(by=by)

    def bulk_job(self, job_id: str) -> BulkJob:
        """Return the bulk job with this id. Only its use shows whether it exists."""
        return self._bulk_jobs().job(job_id)

    async def bulk_jobs(self) -> list[BulkProgress]:
        """Return the workflow's bulk jobs, the oldest first. Those that have ended are listed until
        they are dropped.
        """
        return await self._bulk_jobs().listed()

    def _destination(self, action: Action, to: object) -> Destination | None:
        check_destination("to", action, to)
        if to is None:
            return None
        return Destination(self._workflow, checked_status("to", self._workflow, to))

    def _bulk_jobs(self) -> BulkJobs:
        connection = self._connection
        quiet = connection.attendance.warn_if_nobody_runs_it
        return BulkJobs(self._workflow.name, connection.writer, connection.clock, quiet)


def checked_action(action: object) -> Action:
    """Return the action of a bulk job. Raises InvalidInput."""
    found = ACTIONS.get(action) if isinstance(action, str) else None
    if found is None:
        known = ", ".join(f'"{verb}"' for verb in ACTIONS)
        raise InvalidInput("action", f"it is one of {known}, not {shown(action)}")
    return found


def check_destination(what: str, action: Action, to: object) -> None:
    """Check that only a move has a status to which runs are moved. Raises InvalidInput."""
    if action is Action.MOVE and to is None:
        raise InvalidInput(what, "name the status to which runs are moved")
    if action is not Action.MOVE and to is not None:
        raise InvalidInput(what, f"only a move has it, and this is a {action.verb}; leave it out")
