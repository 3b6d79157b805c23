"""`BulkControls`, whose calls block. `make sync` writes this from client/bulk_controls.py."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.client import bulk_controls as asynchronous
from workflow_ray.client.bulk_controls import BulkAction
from workflow_ray.client.bulk_progress import BulkPreview, BulkProgress
from workflow_ray.client.patience import BY
from workflow_ray.definition import Run, Status
from workflow_ray.records import RunState
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray.sync.bulk import BulkJob
from workflow_ray.sync.run_list import RunList
from workflow_ray.sync.run_reader import RunReader

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class BulkControls(RunList[D, S], Generic[D, S]):
    """Reads the runs of one workflow, and controls all that pass filters."""

    def __init__(self, calls: BlockingCalls, original: asynchronous.BulkControls[D, S]) -> None:
        super().__init__(calls, original)
        self._bulk_controls = original

    @overload
    def bulk(
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
    def bulk(
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
    def bulk(
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
        original: Any = self._bulk_controls.bulk  # its overloads are those above
        answer: Any = self._calls.result(
            original(
                action,
                reason,
                to=to,
                status=status,
                run_state=run_state,
                failed=failed,
                foreign_id=foreign_id,
                created_from=created_from,
                created_before=created_before,
                updated_before=updated_before,
                parent=self._original_of(parent),
                child=self._original_of(child),
                labels=labels,
                by=by,
                dry_run=dry_run,
            )
        )
        return answer if isinstance(answer, BulkPreview) else BulkJob(self._calls, answer)

    def delete_data(self, run_id: str, *, by: str = BY) -> Run[D, S]:
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
        return self._calls.result(self._bulk_controls.delete_data(run_id, by=by))

    def bulk_job(self, job_id: str) -> BulkJob:
        """Return the bulk job with this id. Only its use shows whether it exists."""
        return BulkJob(self._calls, self._bulk_controls.bulk_job(job_id))

    def bulk_jobs(self) -> list[BulkProgress]:
        """Return the workflow's bulk jobs, the oldest first. Those that have ended are listed until
        they are dropped.
        """
        return self._calls.result(self._bulk_controls.bulk_jobs())
