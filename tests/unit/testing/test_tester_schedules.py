"""The tester runs the functions of schedules, which may take real time, before it goes on."""

import time
from datetime import datetime, timedelta
from typing import Literal

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import RunState
from workflow_ray.testing import WorkflowTester


async def test_time_stands_still_while_a_plain_function_runs() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> Parcel:
        time.sleep(0.05)  # blocks its thread
        return Parcel(label=tick.isoformat())

    async with WorkflowTester(workflow) as tester:
        await tester.advance(timedelta(hours=3))
        runs = [run async for run in tester.client(workflow).runs()]
    assert [run.foreign_id[-9:-4] for run in runs] == ["01:00", "02:00", "03:00"]
    assert {run.run_state for run in runs} == {RunState.COMPLETED}
    assert [run.data.label[11:16] for run in runs] == ["01:00", "02:00", "03:00"]
    assert [f"{run.created_at:%H:%M}" for run in runs] == ["01:00", "02:00", "03:00"]
