"""The share of one partition in what a consumer has in hand."""

import asyncio
from typing import Literal

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray.engine.runs import first_write
from workflow_ray.records import RunId, Write, WriteGroup, new_run_id, new_write_id, partition_of
from workflow_ray.roles.group_commits import WINDOW
from workflow_ray.roles.partition import UNEVEN


async def test_a_backlog_in_one_partition_is_taken_in_hand_share_by_share() -> None:
    workflow, gate, started = parcels(partitions=16), asyncio.Event(), list[str]()

    @workflow.step(Stage.NEW, max_in_flight=1000)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        started.append(run.foreign_id)
        await gate.wait()
        return Stage.DONE

    share = UNEVEN * WINDOW // 16
    async with Bench(workflow) as bench:
        run_ids = [
            run_id
            for run_id in (new_run_id() for _ in range(40 * share))
            if partition_of(run_id, 16) == 3
        ][: share + 1]
        await bench.publisher()
        await bench.store.store(
            [WriteGroup(writes=tuple(new_parcel(workflow, run_id) for run_id in run_ids))]
        )
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert len(started) == share
        gate.set()
        await bench.pass_time()
        assert len(started) == share + 1


def new_parcel(workflow: Parcels, run_id: RunId) -> Write:
    data = workflow.encode(Parcel())
    return first_write(
        workflow, run_id, data, Stage.NEW, run_id=run_id, write_id=new_write_id(), by="test"
    )
