"""Bulk jobs on the runs of trips."""

import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.simulation import PICK, TURNS
from tests.unit.roles.trip_operators import OperatorRules
from tests.unit.roles.trip_pasts import Past
from tests.unit.roles.trip_plans import WORKFLOWS
from workflow_ray import BulkJob, BulkProgress
from workflow_ray.engine.bulk import write_id_of
from workflow_ray.errors import BulkJobRefused, ControlRefused
from workflow_ray.records import BulkState, Cause, HistoryEntry, Record, RunState

CAUSES = {
    "pause": Cause.PAUSE,
    "resume": Cause.RESUMED,
    "retry": Cause.RETRIED,
    "cancel": Cause.CANCEL,
    "move": Cause.MOVED,
}
ACTIONS = st.sampled_from(["pause", "resume", "resume", "retry", "cancel", "move", "move"])
FILTERS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"foreign_id": "a"},
        {"run_state": RunState.PAUSED},
        {"run_state": RunState.RUNNING},
        {"failed": True},
        {"status": 1},
        {"status": 2},
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
    to: int | None  # the number of the status of a move
    by: str
    job: BulkJob

    def passes(self, before: HistoryEntry, record: Record) -> bool:
        """Whether a version of a run passes the filters."""
        is_failed = before.run_state is RunState.PAUSED and before.cause is Cause.FAILED
        known = {
            "foreign_id": record.foreign_id,
            "run_state": before.run_state,
            "failed": is_failed,
            "status": before.status,
        }
        return all(known[name] == wanted for name, wanted in self.filters.items())


class BulkRules(OperatorRules):
    """Starts bulk jobs, and controls them."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[Job] = []

    @rule(
        workflow=WORKFLOWS,
        action=ACTIONS,
        filters=FILTERS,
        to=PICK,
        before=SECONDS,
        after=SECONDS,
    )
    def bulk(
        self,
        workflow: str,
        action: Any,
        filters: dict[str, Any],
        to: int,
        before: float,
        after: float,
    ) -> None:
        """An operator starts a job, whose role may be dead, perhaps while functions run."""
        self.pass_time(before)
        self._start(workflow, action, filters, to)
        self.pass_time(after)

    @rule(workflow=WORKFLOWS, to=PICK, turns=st.lists(TURNS, min_size=2, max_size=8))
    def move_all(self, workflow: str, to: int, turns: list[int]) -> None:
        """An operator moves all runs at a status, and another one takes some of them elsewhere."""
        if runs := self._unfinished(workflow):
            self._start(workflow, "move", {"status": runs[0].status}, to)
            for number, each in enumerate(turns):
                self.pass_turns(each)
                with suppress(ControlRefused):
                    self._do(self._move(runs[number % len(runs)], number))

    def _start(self, workflow: str, action: Any, filters: dict[str, Any], to: int = 0) -> None:
        by, definition = f"operator {len(self._jobs)}", self._workflow(workflow)
        statuses = list(definition.statuses)
        given = dict(filters)
        if "status" in given:
            given["status"] = definition.status_of(given["status"])
        moved_to = statuses[to % len(statuses)] if action == "move" else None
        client: Any = self._client(definition)
        job: BulkJob = self._do(
            client.bulk(action, "as the test wants it", to=moved_to, by=by, **given)
        )
        number = None if moved_to is None else moved_to.value
        self._jobs.append(Job(workflow, action, filters, number, by, job))

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
    for past in pasts:
        for before, after in itertools.pairwise(past.entries):
            if after in written:
                assert job.passes(before, past.record), (job, before, after)
                assert after.status == (before.status if job.to is None else job.to), (job, after)
                assert after.data is None, (job, after)
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
