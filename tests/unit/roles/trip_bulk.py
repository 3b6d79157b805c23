"""Bulk jobs on the runs of trips."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.trip_operators import OperatorRules
from tests.unit.roles.trip_pasts import Past
from tests.unit.roles.trip_plans import PICK, TURNS, WORKFLOWS
from workflow_ray import BulkJob, BulkProgress
from workflow_ray.engine.bulk import write_id_of
from workflow_ray.errors import BulkJobRefused
from workflow_ray.records import BulkState, Cause, RunState

CAUSES = {
    "pause": Cause.PAUSE,
    "resume": Cause.RESUMED,
    "retry": Cause.RETRIED,
    "cancel": Cause.CANCEL,
}
ACTIONS = st.sampled_from(["pause", "resume", "resume", "retry", "cancel"])
FILTERS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"foreign_id": "a"},
        {"run_state": RunState.PAUSED},
        {"run_state": RunState.RUNNING},
        {"failed": True},
    ]
)
SECONDS = st.sampled_from([0.0, 0.0, 0.5, 4.0])
LASTING: tuple[set[str], ...] = (set(), {"foreign_id"})
"""Filters by what a run never changes."""


@dataclass(frozen=True)
class Job:
    """A job that the test has started."""

    workflow: str
    action: str
    filters: dict[str, Any]
    by: str
    job: BulkJob


class BulkRules(OperatorRules):
    """Starts bulk jobs, and controls them."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[Job] = []

    @rule(workflow=WORKFLOWS, action=ACTIONS, filters=FILTERS, before=SECONDS, after=SECONDS)
    def bulk(
        self, workflow: str, action: Any, filters: dict[str, Any], before: float, after: float
    ) -> None:
        """An operator starts a job, whose role may be dead, perhaps while functions run."""
        self.pass_time(before)
        self._start(workflow, action, filters)
        self.pass_time(after)

    @rule(workflow=WORKFLOWS, turns=TURNS, seconds=SECONDS)
    def hold_all(self, workflow: str, turns: int, seconds: float) -> None:
        """An operator pauses all runs, and resumes them, perhaps while the first job runs."""
        self._start(workflow, "pause", {})
        self.pass_turns(turns)
        self.pass_time(seconds)
        self._start(workflow, "resume", {})

    def _start(self, workflow: str, action: Any, filters: dict[str, Any]) -> None:
        by = f"operator {len(self._jobs)}"
        client: Any = self._client(self._workflow(workflow))
        job: BulkJob = self._do(client.bulk(action, "as the test wants it", by=by, **filters))
        self._jobs.append(Job(workflow, action, filters, by, job))

    @rule(pick=PICK, verb=st.sampled_from(["pause", "resume", "resume", "abort"]))
    def control_job(self, pick: int, verb: Literal["pause", "resume", "abort"]) -> None:
        if self._jobs:
            with suppress(BulkJobRefused):
                self._do(getattr(self._jobs[pick % len(self._jobs)].job, verb)())

    async def _check_jobs(self) -> None:
        """Each run has one version at most of a job, and the job's counts are those of the runs."""
        for each in self._jobs:
            progress = await each.job.progress()
            assert progress.asked is None, progress
            assert progress.state is not BulkState.RUNNING, progress
            pasts = [past for past in self._checks.pasts if past.record.workflow == each.workflow]
            _check_job(each, progress, pasts)


def _check_job(job: Job, progress: BulkProgress, pasts: list[Past]) -> None:
    written = [
        entry
        for past in pasts
        for entry in past.entries
        if entry.by == job.by or entry.write_id == write_id_of(job.job.id, entry.run_id)
    ]
    assert len({entry.run_id for entry in written}) == len(written), (job, written)
    for entry in written:
        assert (entry.by, entry.cause) == (job.by, CAUSES[job.action]), (job, entry)
    if progress.state is BulkState.PAUSED:
        return
    assert len(written) == progress.changed, (progress, written)
    if progress.state is BulkState.DONE and set(job.filters) in LASTING:
        counted = progress.changed + progress.unchanged + progress.refused + progress.moved_on
        runs = [
            past.record
            for past in pasts
            if job.filters.get("foreign_id") in (None, past.record.foreign_id)
        ]
        least = sum(run.created_at < progress.asked_at for run in runs)
        most = sum(run.created_at <= progress.asked_at for run in runs)
        assert least <= counted <= most, (progress, least, most)
