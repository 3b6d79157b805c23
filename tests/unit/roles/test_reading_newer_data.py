"""Functions of old code that read newer data of other runs, several at once: none is counted."""

import asyncio
from typing import Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Stage, packing
from tests.unit.roles.carts import Carts, connector, entries
from tests.unit.roles.rolling import Grams, new_code, old_code, stored
from workflow_ray import Client, Retry, Run, Status, Workflow
from workflow_ray.records import (
    Cause,
    ConnectorEvent,
    Role,
    RunState,
    SetAsideQuery,
    data_group,
    hooks_group,
)


async def read_all(bench: Bench) -> None:
    """Read the data of all runs at once."""

    async def read(run_id: str) -> None:
        _ = (await bench.client(old_code()).handle(run_id).get()).data

    async with asyncio.TaskGroup() as tasks:
        async for run in bench.client(old_code()).runs():
            tasks.create_task(read(run.run_id))


async def test_an_event_of_a_connector_is_not_counted() -> None:
    carts = Carts(attempts=1)

    async def reading(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await read_all(bench)

    carts.work.append(reading)
    async with Bench(carts.workflow, old_code()) as bench:
        await bench.client(new_code()).trigger("1", Grams())
        await connector(bench)
        carts.put("a")
        for _ in range(5):
            await bench.pass_time(30)
        (entry,) = await entries(bench)
        assert (entry.attempt, entry.due_at is not None) == (0, True)


@pytest.mark.parametrize("is_hook", [True, False])
async def test_a_hook_and_a_scrubber_are_not_counted(is_hook: bool) -> None:
    workflow = packing()

    async def reading(run: ParcelRun) -> Parcel:
        await read_all(bench)
        return Parcel()

    if is_hook:

        @workflow.on_cancel(retry=Retry(attempts=1))
        async def hook(run: ParcelRun) -> None:
            await reading(run)
    else:
        workflow.scrub(retry=Retry(attempts=1))(reading)

    group = hooks_group("parcels") if is_hook else data_group("parcels")
    async with Bench(workflow, old_code()) as bench:
        await bench.publisher()
        await bench.client(new_code()).trigger("1", Grams())
        await bench.start(Role(group))
        handle = await bench.client(workflow).trigger("1", Parcel())
        await handle.cancel("for the test")
        if not is_hook:
            await handle.delete_data()
        for _ in range(5):
            await bench.pass_time(30)
        (entry,) = await bench.store.set_aside(SetAsideQuery(group=group))
        assert (entry.attempt, entry.due_at is not None) == (0, True)


async def test_a_batch_step_holds_back_the_run_for_which_it_does_that_and_no_other() -> None:
    class At(Status):
        PICKED = 1
        PAID = 2

    workflow: Workflow[Parcel, At] = Workflow("parcels", Parcel, At)

    @workflow.batch_step(At.PICKED, max_wait=1, retry=Retry(attempts=1))
    async def pick(runs: list[Run[Parcel, At]]) -> list[Literal[At.PAID]]:
        if any(run.foreign_id == "reads" for run in runs):
            await read_all(bench)
        return [At.PAID for _ in runs]

    async with Bench(workflow, old_code()) as bench:
        await bench.publisher()
        await bench.client(new_code()).trigger("1", Grams())
        client = bench.client(workflow)
        handles = [await client.trigger(name, Parcel()) for name in ("reads", "other")]
        await bench.consumer(At.PICKED)
        await bench.pass_time(10)
        reads, other = [await stored(bench, handle.run_id) for handle in handles]
        assert (reads.cause, reads.run_state) == (Cause.PARKED, RunState.RUNNING)
        assert other.status == At.PAID.value
