"""What hooks have left behind of a run whose data is deleted, and hooks that come later."""

import asyncio

import msgspec
import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import ParcelRun, packing
from tests.unit.roles.deleting import SECRET, completed, data_role, kept
from workflow_ray import Retry, RunState
from workflow_ray.records import (
    NewSetAside,
    Role,
    SetAsideEvent,
    SetAsideKey,
    Version,
    WriteGroup,
    hooks_group,
)
from workflow_ray.roles.hook_log import event_id_of


async def test_what_a_hook_has_left_behind_is_deleted_too() -> None:
    workflow = packing()

    @workflow.on_complete(retry=Retry(attempts=1))
    async def thank(run: ParcelRun) -> None:
        raise ValueError(f"can't write to {run.data.label}")

    async with Bench(workflow) as bench:
        await bench.start(Role(hooks_group("parcels")))
        handle = await completed(bench, workflow)
        (letter,) = [each async for each in bench.client(workflow).dead_letters()]
        assert SECRET in letter.error
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(1)
        assert [each async for each in bench.client(workflow).dead_letters()] == []
        assert SECRET.encode() not in await kept(bench, handle)


async def test_what_a_hook_of_earlier_code_has_left_behind_is_deleted_too() -> None:
    workflow = packing()
    assert not workflow.checked().hooks
    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        entry = NewSetAside(
            key=SetAsideKey(hooks_group("parcels"), 0, 7),
            event_id=event_id_of(handle.run_id, Version(2)),
            event=msgspec.json.encode(SetAsideEvent(hooks=("thank",))),
            attempt=1,
            error=f"can't write to {SECRET}",
            retry_in=None,
        )
        await bench.store.store([WriteGroup(set_aside=(entry,))])
        assert SECRET.encode() in await kept(bench, handle)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(1)
        assert SECRET.encode() not in await kept(bench, handle)


async def test_a_hook_that_fails_after_the_deletion_leaves_nothing() -> None:
    workflow = packing()
    goes_on = asyncio.Event()

    @workflow.on_complete(retry=Retry(attempts=1))
    async def thank(run: ParcelRun) -> None:
        await goes_on.wait()
        raise ValueError(f"can't write to {run.data.label}")

    async with Bench(workflow) as bench:
        await bench.start(Role(hooks_group("parcels")))
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(1)
        assert (await handle.get()).run_state is RunState.DATA_DELETED
        goes_on.set()
        await bench.pass_time(1)
        assert [each async for each in bench.client(workflow).dead_letters()] == []
        assert SECRET.encode() not in await kept(bench, handle)


async def test_a_hook_that_comes_too_late_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    workflow = packing()
    called = list[str]()

    @workflow.on_complete
    async def thank(run: ParcelRun) -> None:
        called.append(run.foreign_id)

    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(1)
        await bench.start(Role(hooks_group("parcels")))
        await bench.pass_time(1)
        assert not called
        assert (
            f"the data of run {handle.run_id} was deleted; its hooks are not called" in caplog.text
        )
