"""Deletions of the data of trips and their boxes."""

from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.simulation import PICK, TURNS
from tests.unit.roles.trip_bulk import BulkRules
from tests.unit.roles.trip_plans import WORKFLOWS
from workflow_ray.errors import ControlRefused
from workflow_ray.records import Record, RunQuery, RunState

FINISHED = tuple(state for state in RunState if state.finished)


class DeletionRules(BulkRules):
    """Asks for the deletion of runs' data, before and after it was deleted."""

    @rule(workflow=WORKFLOWS, pick=PICK, are_all=st.booleans(), turns=TURNS)
    def delete_data(self, workflow: str, pick: int, are_all: bool, turns: int) -> None:
        """Somebody asks for the deletion of a run's data, or of several runs', perhaps again."""
        query = RunQuery(workflow=workflow, run_states=FINISHED, newest_first=True, limit=4)
        if runs := self._do(self._store.runs(query)):
            for run in runs if are_all else [runs[pick % len(runs)]]:
                self._do(self._delete(run))
            self.pass_turns(turns)

    @rule(workflow=WORKFLOWS, pick=PICK)
    def delete_data_too_soon(self, workflow: str, pick: int) -> None:
        """A run that is not finished is refused, unless it has just ended."""
        if runs := self._unfinished(workflow):
            with suppress(ControlRefused):
                self._do(self._delete(runs[pick % len(runs)]))

    async def _delete(self, record: Record) -> None:
        now = await self._handle(record).get()
        if now.run_state.finished:
            await self._checks.remember(record.run_id)
        await self._handle(record).delete_data(by="the test")
        assert now.run_state.finished, f"{record} is not finished, and its data is to be deleted"
