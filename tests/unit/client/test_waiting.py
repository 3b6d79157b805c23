"""Clients wait for runs."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Literal
from unittest.mock import AsyncMock

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, Route, RoutedRun, Stage
from workflow_ray import Cancel, Fatal, Handle, Pause, Run, RunState, Stay, Workflow
from workflow_ray.errors import InvalidInput, NothingLeft, RunPaused, RunUnreachable, WaitTimeout
from workflow_ray.records import Cause, OutgoingEvent, Write, WriteGroup, new_write_id, status_topic
from workflow_ray.testing import WorkflowTester


def asked() -> Workflow[Parcel, Route]:
    """Make a workflow: NEW leads to PACKED, whose step does what the label says."""
    workflow = Workflow("asked", Parcel, Route)

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        return Route.PACKED

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT, Route.LOST] | Pause | Cancel | Stay:
        match run.data.label:
            case "pause":
                return Pause("a person must look")
            case "cancel":
                return Cancel("not wanted")
            case "stay":
                return Stay()
            case "fail":
                raise Fatal("broken")
            case _:
                return Route.SENT

    return workflow


async def test_a_wait_returns_the_run_once_it_gets_there() -> None:
    workflow = asked()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        assert (await handle.wait_for(Route.SENT)).status is Route.SENT


async def test_a_status_that_was_passed_counts_and_the_run_is_shown_as_it_stands_now() -> None:
    workflow = asked()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await handle.wait()
        for passed in (Route.NEW, Route.PACKED):
            assert (await handle.wait_for(passed)).status is Route.SENT


async def test_a_run_that_gets_there_between_two_reads_is_returned_as_it_got_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflow = asked()
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        records = handle._records  # pyright: ignore[reportPrivateUsage]  # no timing provokes it reliably
        (before,) = await records.lookup([handle.run_id])
        assert before is not None
        assert before.status != Route.SENT.value
        await handle.wait()
        monkeypatch.setattr(records, "lookup", AsyncMock(return_value=[before]))
        assert (await handle.wait_for(Route.SENT)).status is Route.SENT


async def test_a_status_that_is_already_reached_is_not_waited_for() -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        handle = (await triggered(bench, workflow, "1"))["1"]
        assert (await handle.wait_for(Route.NEW, timeout=timedelta())).status is Route.NEW


async def test_a_status_that_can_no_longer_be_reached_raises_at_once_saying_why() -> None:
    workflow = asked()
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        sent = await client.trigger("1", Parcel())
        with pytest.raises(
            RunUnreachable, match="can't get to LOST any more: it is COMPLETED at SENT"
        ):
            await sent.wait_for(Route.LOST)
        cancelled = await client.trigger("2", Parcel(label="cancel"))
        with pytest.raises(RunUnreachable, match=r"it is CANCELLED at PACKED \(not wanted\)"):
            await cancelled.wait_for(Route.SENT)
        late = await client.trigger("3", Parcel(label="stay"), start_at=Route.PACKED)
        with pytest.raises(
            RunUnreachable, match="it is at PACKED, from where no transition leads there"
        ):
            await late.wait_for(Route.NEW)


@pytest.mark.parametrize("wait", ["for a status", "for the end"])
async def test_a_run_that_an_error_pauses_raises_at_once_unless_waited_through(wait: str) -> None:
    workflow = asked()

    def waiting(
        handle: Handle[Parcel, Route], *, through_errors: bool = False
    ) -> Coroutine[Any, Any, Run[Parcel, Route]]:
        if wait == "for the end":
            return handle.wait(through_errors=through_errors)
        return handle.wait_for(Route.SENT, through_errors=through_errors)

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel(label="fail"))
        with pytest.raises(
            RunPaused, match="is paused at PACKED by an error: Fatal: broken"
        ) as raised:
            await waiting(handle)
        assert raised.value.run_id == handle.run_id
        with pytest.raises(NothingLeft):
            await waiting(handle, through_errors=True)


async def resume(bench: Bench, handle: Handle[Parcel, Route]) -> None:
    """Write what a client's resume writes."""
    (record,) = await bench.store.lookup([handle.run_id])
    assert record
    write = Write(
        run_id=record.run_id,
        write_id=new_write_id(),
        expected=record.version,
        status=record.status,
        run_state=RunState.RUNNING,
        visit=record.visit,
        cause=Cause.REPEAT,
        by="client",
        data=b"{}",
        events=(
            OutgoingEvent(topic=status_topic("asked", record.status), partition=record.partition),
        ),
        asks=True,
    )
    await bench.store.store([WriteGroup(writes=(write,))])


async def begin(bench: Bench) -> None:
    await bench.publisher()
    for status in (Route.NEW, Route.PACKED):
        await bench.consumer(status)


@pytest.mark.parametrize("label", ["pause", "fail"])
async def test_a_run_paused_on_purpose_or_waited_through_is_waited_for_until_it_goes_on(
    label: str,
) -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        await begin(bench)
        handle = await bench.client(workflow).trigger("1", Parcel(label=label))
        waiting = asyncio.create_task(handle.wait_for(Route.SENT, through_errors=label == "fail"))
        await bench.pass_time(seconds=3600)
        assert not waiting.done()
        await resume(bench, handle)
        await bench.pass_time()
        assert (await waiting).status is Route.SENT


async def test_a_wait_that_takes_too_long_shows_the_last_of_the_history() -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        await begin(bench)
        handle = await bench.client(workflow).trigger("1", Parcel(label="stay"))
        waiting = asyncio.create_task(handle.wait_for(Route.SENT, timeout=timedelta(seconds=50)))
        await bench.pass_time(seconds=49)
        assert not waiting.done()
        await bench.pass_time(seconds=1)
        with pytest.raises(WaitTimeout, match="didn't get to SENT within 50 s") as raised:
            await waiting
        assert raised.value.history == [
            "1 NEW INITIATED TRIGGER by client",
            "2 PACKED RUNNING STEP by asked-1-consumer-1-of-1",
            "3 PACKED RUNNING STAY by asked-2-consumer-1-of-1",
        ]
        assert isinstance(raised.value, TimeoutError)


async def test_a_wait_ends_with_the_run_however_it_ends() -> None:
    workflow = asked()
    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        assert (await (await client.trigger("1", Parcel())).wait()).run_state is RunState.COMPLETED
        assert (
            await (await client.trigger("2", Parcel(label="cancel"))).wait()
        ).run_state is RunState.CANCELLED


async def test_many_may_wait_for_one_run() -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        handle = await bench.client(workflow).trigger("1", Parcel())
        waiting = [
            asyncio.create_task(handle.wait_for(status))
            for status in (Route.PACKED, Route.SENT, Route.SENT)
        ]
        await begin(bench)
        await bench.pass_time()
        assert [(await wait).run_id for wait in waiting] == [handle.run_id] * 3


@pytest.mark.parametrize("timeout", [0.001, 1, timedelta(milliseconds=1)])
async def test_a_timeout_is_seconds_or_a_timedelta(timeout: float | timedelta) -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        handle = (await triggered(bench, workflow, "1"))["1"]
        waiting = asyncio.create_task(handle.wait(timeout=timeout))
        await bench.pass_time(1)
        with pytest.raises(WaitTimeout):
            await waiting


@pytest.mark.parametrize("timeout", [-1, "5s", True, timedelta.max])
async def test_a_timeout_that_can_not_be_used_is_refused_by_name(timeout: Any) -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        handle = (await triggered(bench, workflow, "1"))["1"]
        with pytest.raises(InvalidInput, match=r"^timeout: "):
            await handle.wait(timeout=timeout)


@pytest.mark.parametrize("status", ["SENT", 3, Stage.NEW, None])
async def test_only_a_status_of_the_runs_workflow_is_waited_for(status: Any) -> None:
    workflow = asked()
    async with Bench(workflow) as bench:
        handle = (await triggered(bench, workflow, "1"))["1"]
        with pytest.raises(
            InvalidInput, match=r"is not a status of workflow 'asked'; give one, e\.g\. Route\.NEW"
        ):
            await handle.wait_for(status)
