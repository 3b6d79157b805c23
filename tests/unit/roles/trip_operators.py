"""What operators do to the runs of trips."""

from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.simulation import PICK, TURNS
from tests.unit.roles.trip_base import TripBase
from tests.unit.roles.trip_pasts import CANCELLED_WITH
from tests.unit.roles.trip_plans import CASCADES, FORK_NAMES, WORKFLOWS
from workflow_ray.errors import ControlRefused, DataDeleted, NewerData, RunActive
from workflow_ray.records import Record, RunQuery


class OperatorRules(TripBase):
    """Controls runs, one at a time."""

    @rule(
        workflow=WORKFLOWS,
        pick=PICK,
        action=st.sampled_from(["pause", "resume", "retry", "cancel"]),
        cascade=CASCADES,
    )
    def control(self, workflow: str, pick: int, action: str, cascade: bool | None) -> None:
        if runs := self._unfinished(workflow):
            with suppress(ControlRefused):
                self._do(self._control(runs[pick % len(runs)], action, cascade))

    @rule(workflow=WORKFLOWS, pick=PICK, to=PICK, turns=TURNS)
    def move(self, workflow: str, pick: int, to: int, turns: int) -> None:
        """An operator moves a run to any status, perhaps while its function runs."""
        self.pass_turns(turns)
        if runs := self._unfinished(workflow):
            with suppress(ControlRefused):
                self._do(self._move(runs[pick % len(runs)], to))

    @rule(workflow=WORKFLOWS, pick=PICK, version=PICK, name=st.none() | FORK_NAMES)
    def fork(self, workflow: str, pick: int, version: int, name: str | None) -> None:
        """Somebody starts a run from any version of another one, finished or not."""
        query = RunQuery(workflow=workflow, newest_first=True, limit=6)
        if runs := self._do(self._store.runs(query)):
            with suppress(DataDeleted, NewerData, RunActive):
                self._do(self._fork(runs[pick % len(runs)], version, name))

    @rule(
        workflow=WORKFLOWS, pick=PICK, turns=TURNS, seconds=st.sampled_from([0.0, 0.0, 3.0, 50.0])
    )
    def hold(self, workflow: str, pick: int, turns: int, seconds: float) -> None:
        """An operator pauses a run, and resumes it after a while."""
        if runs := self._unfinished(workflow):
            run = runs[pick % len(runs)]
            with suppress(ControlRefused):
                self._do(self._control(run, "pause"))
                self.pass_turns(turns)
                self.pass_time(seconds)
                self._do(self._control(run, "resume"))

    async def _control(self, record: Record, action: str, cascade: bool | None = None) -> None:
        handle = self._handle(record)
        if action == "cancel":
            await handle.cancel(f"{CANCELLED_WITH}{cascade}", cascade=cascade)
        else:
            await getattr(handle, action)("as the test wants it")

    async def _move(self, record: Record, to: int) -> None:
        statuses = list(self._workflow(record.workflow).statuses)
        await self._handle(record).move(statuses[to % len(statuses)], "as the test wants it")

    async def _fork(self, record: Record, version: int, name: str | None) -> None:
        await self._handle(record).fork(1 + version % record.version, foreign_id=name)
