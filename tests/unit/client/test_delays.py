"""Delays of steps outlast a pause: the run waits for the original due time when it is resumed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import Cause, Client, Fatal, FlowControl, Handle, Repeat, Retry, Workflow
from workflow_ray.errors import WaitTimeout
from workflow_ray.ports import Records
from workflow_ray.testing import FakeClock, WorkflowTester
from workflow_ray.testing.conformance.base import begin
from workflow_ray_adapters.memory import MemoryStore
from workflow_ray_adapters.sql import SqliteAdapter

DELAY = 60.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(
    request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[Records]:
    if request.param == "memory":
        yield MemoryStore(clock)
        return
    url = f"sqlite:///{tmp_path}/runs.db"
    SqliteAdapter().create(url)
    async with SqliteAdapter().open_records(url, clock=clock, exclusive=False) as opened:
        yield opened


class Packing:
    """A workflow whose step notes that it ran, and does what the test sets first."""

    def __init__(self, flow: FlowControl[Parcel, Stage] | None = None) -> None:
        self.does = ""
        self.ran = 0
        self.workflow: Workflow[Parcel, Stage] = parcels()

        @self.workflow.step(Stage.NEW, flow=flow, retry=Retry(attempts=2, backoff=DELAY, factor=1))
        async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
            self.ran += 1
            does, self.does = self.does, ""
            match does:
                case "repeat":
                    return Repeat(timedelta(seconds=DELAY))
                case "fail":
                    raise RuntimeError("no box")
                case _:
                    return Stage.DONE


async def due_in(store: Records, handle: Handle[Parcel, Stage], clock: FakeClock) -> float | None:
    """The seconds until the step is due that the run waits for. None: it waits for no delay."""
    (record,) = await store.lookup([handle.run_id])
    assert record is not None
    found = (await store.activity(steps={record.run_id: record.awaited})).delayed
    if not found:
        return None
    assert found[0].due_at is not None
    return (found[0].due_at - clock.now()).total_seconds()


async def test_a_delayed_run_that_is_resumed_waits_for_its_original_due_time(
    store: Records, clock: FakeClock
) -> None:
    client = Client(Packing().workflow, store, clock)
    handle = await client.trigger("1", Parcel(), delay=DELAY)
    await handle.pause("wait")
    await clock.advance(timedelta(seconds=10))
    await handle.resume()
    assert await due_in(store, handle, clock) == DELAY - 10
    await handle.pause("wait again")
    await handle.resume()
    assert await due_in(store, handle, clock) == DELAY - 10


async def test_a_delayed_run_that_is_resumed_after_its_due_time_goes_on_at_once(
    store: Records, clock: FakeClock
) -> None:
    client = Client(Packing().workflow, store, clock)
    handle = await client.trigger("1", Parcel(), delay=DELAY)
    await handle.pause("wait")
    await clock.advance(timedelta(seconds=DELAY))
    await handle.resume()
    assert await due_in(store, handle, clock) is None


@pytest.mark.parametrize("limited", [False, True])
async def test_the_step_runs_when_the_delay_is_over_and_only_once(
    limited: bool,
) -> None:
    packing = Packing(FlowControl(concurrency=1) if limited else None)
    async with WorkflowTester(packing.workflow) as tester:
        handle = await tester.client(packing.workflow).trigger("1", Parcel(), delay=DELAY)
        await handle.pause("wait")
        await tester.advance(10)
        await handle.resume()
        await tester.advance(DELAY - 11)
        assert packing.ran == 0
        await tester.advance(1)
        assert (await handle.get()).status is Stage.DONE
        assert packing.ran == 1


@pytest.mark.parametrize("limited", [False, True])
async def test_a_repeat_outlasts_a_pause_and_holds_no_slot(
    limited: bool,
) -> None:
    packing = Packing(FlowControl(concurrency=1) if limited else None)
    packing.does = "repeat"
    async with WorkflowTester(packing.workflow) as tester:
        client = tester.client(packing.workflow)
        handle = await client.trigger("1", Parcel())
        await tester.settle()
        await handle.pause("wait")
        await tester.advance(10)
        await handle.resume()
        assert [each.admitted for each in await client.limits()] == ([0] if limited else [])
        await tester.advance(DELAY - 11)
        assert packing.ran == 1
        await tester.advance(1)
        assert (await handle.get()).status is Stage.DONE


async def test_a_backoff_outlasts_a_pause_and_a_retry_ends_it() -> None:
    packing = Packing()
    packing.does = "fail"
    async with WorkflowTester(packing.workflow) as tester:
        handle = await tester.client(packing.workflow).trigger("1", Parcel())
        await tester.settle()
        await handle.pause("wait")
        await handle.resume()
        await tester.settle()
        assert packing.ran == 1
        await handle.retry()
        await tester.settle()
        assert (await handle.get()).status is Stage.DONE


async def test_a_bulk_job_resumes_delayed_runs_for_their_original_due_time() -> None:
    packing = Packing()
    async with WorkflowTester(packing.workflow) as tester:
        client = tester.client(packing.workflow)
        handles = [await client.trigger(str(at), Parcel(), delay=DELAY) for at in range(3)]
        for handle in handles:
            await handle.pause("wait")
        await tester.advance(10)
        job = await client.bulk("resume", "go on")
        await tester.settle()
        assert (await job.progress()).changed == 3
        await tester.advance(DELAY - 11)
        assert packing.ran == 0
        await tester.advance(1)
        assert packing.ran == 3


@pytest.mark.parametrize("by_itself", [False, True])
async def test_a_delay_outlasts_an_error_in_another_function(by_itself: bool) -> None:
    ran: list[str] = []
    workflow = Workflow("parcels", Parcel, Stage, retry_paused=5 if by_itself else None)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        ran.append("pack")
        return Stage.DONE

    @workflow.timeout(Stage.NEW, at=lambda run: run.created_at + timedelta(seconds=10))
    async def remind(run: ParcelRun) -> Literal[Stage.DONE]:
        ran.append("remind")
        raise Fatal("no address")

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel(), delay=DELAY)
        await tester.advance(10)
        assert (await handle.get()).reason == "Fatal: no address"
        if by_itself:
            await tester.advance(5)
        else:
            await handle.retry()
            await tester.settle()
        history = await handle.history()
        assert Cause.RETRIED in [entry.cause for entry in history]
        assert "pack" not in ran


async def test_a_wait_that_takes_too_long_says_until_when_the_run_is_delayed(
    clock: FakeClock,
) -> None:
    client = Client(Packing().workflow, MemoryStore(clock), clock)
    handle = await client.trigger("1", Parcel(), delay=DELAY)
    due_at = clock.now() + timedelta(seconds=DELAY)
    waiting = await begin(clock, handle.wait(timeout=5))
    await clock.advance(timedelta(seconds=5))
    with pytest.raises(WaitTimeout) as raised:
        await waiting
    assert f"It waits for its step (due {due_at:%Y-%m-%d %H:%M:%SZ})" in str(raised.value)
