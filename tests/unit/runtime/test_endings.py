"""Calls and waits of clients whose runtime or connection has ended (U8)."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from tests.unit.runtime.gated import Gated
from workflow_ray import Client, Handle, Runtime, connect
from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime import local

SOON = timedelta(seconds=20)
AT_ONCE = 5.0
"""Seconds. A client repeats a call for 30."""

ParcelClient: TypeAlias = Client[Parcel, Stage]
ParcelHandle: TypeAlias = Handle[Parcel, Stage]


@pytest.fixture
def soon_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running steps are abandoned soon when the runtime ends."""
    monkeypatch.setattr(local, "STOPPING", 0.1)


def standing() -> Parcels:
    """Make a workflow whose step takes longer than any of these tests."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await asyncio.sleep(600)
        return Stage.DONE

    return workflow


@asynccontextmanager
async def of_runtime(workflow: Parcels, any_url: str) -> AsyncGenerator[ParcelClient]:
    async with Runtime.local(workflow, records=any_url) as runtime:
        yield runtime.client(workflow)


@asynccontextmanager
async def of_connect(workflow: Parcels, any_url: str) -> AsyncGenerator[ParcelClient]:
    async with (
        Runtime.local(workflow, records=any_url),
        connect(workflow, records=any_url) as client,
    ):
        yield client


@asynccontextmanager
async def of_connect_alone(workflow: Parcels, any_url: str) -> AsyncGenerator[ParcelClient]:
    async with Runtime.local(workflow, records=any_url):
        pass
    async with connect(workflow, records=any_url) as client:
        yield client


KINDS = [
    (of_runtime, "the runtime: it was left before this call or during it; use a client"),
    (of_connect, "the client: its connection was closed before this call or during it; connect"),
    (of_connect_alone, "the client: its connection was closed before this call or during it; con"),
]


async def refused(call: Awaitable[object], why: str) -> None:
    begun = time.monotonic()
    with pytest.raises(RuntimeUnavailable, match=why):
        await call
    assert time.monotonic() - begun < AT_ONCE


async def all_runs(client: ParcelClient) -> list[Any]:
    return [run async for run in client.runs()]


@pytest.mark.usefixtures("soon_abandoned")
@pytest.mark.parametrize(("opened", "why"), KINDS)
async def test_every_call_after_the_end_fails_at_once_and_says_why(
    any_url: str, opened: Callable[[Parcels, str], Any], why: str
) -> None:
    async with opened(standing(), any_url) as client:
        handle = await client.trigger("1", Parcel())
    for call in (
        client.trigger("2", Parcel()),
        client.latest("1"),
        client.counts(),
        all_runs(client),
        handle.get(),
        handle.wait(),
        handle.wait_for(Stage.DONE, timeout=60),
        handle.history(),
        handle.cancel("late"),
    ):
        await refused(call, why)


@pytest.mark.usefixtures("soon_abandoned")
@pytest.mark.parametrize(("opened", "why"), KINDS)
async def test_a_waiter_in_any_loop_gets_an_error_at_the_end(
    any_url: str, opened: Callable[[Parcels, str], Any], why: str
) -> None:
    async with opened(standing(), any_url) as client:
        handle = await client.trigger("1", Parcel())

        async def wait(handle: ParcelHandle = handle) -> None:
            await handle.wait()

        async def wait_for(handle: ParcelHandle = handle) -> None:
            await handle.wait_for(Stage.DONE, timeout=600)

        waiting = [
            asyncio.create_task(wait()),
            asyncio.create_task(wait_for()),
            asyncio.create_task(asyncio.to_thread(asyncio.run, wait())),
            asyncio.create_task(asyncio.to_thread(asyncio.run, wait_for())),
        ]
        await asyncio.sleep(0.3)  # they wait
    for one in waiting:
        await refused(one, why)


@pytest.mark.usefixtures("soon_abandoned")
@pytest.mark.parametrize(("opened", "why"), KINDS)
async def test_a_waiter_that_is_cancelled_is_cancelled_and_nothing_else(
    any_url: str, opened: Callable[[Parcels, str], Any], why: str
) -> None:
    async with opened(standing(), any_url) as client:
        handle = await client.trigger("1", Parcel())
        waiting = asyncio.create_task(handle.wait())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await handle.get()).status is Stage.NEW


async def test_a_runtime_is_entered_again_once_it_has_ended_with_new_clients(any_url: str) -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    runtime = Runtime.local(workflow, records=any_url)
    for number in range(3):
        async with runtime:
            client = runtime.client(workflow)
            handle = await client.trigger(f"{number}", Parcel())
            assert (await handle.wait(timeout=SOON)).status is Stage.DONE
        await refused(client.counts(), "the runtime: it was left")


async def test_a_handle_of_one_loop_is_used_in_another(any_url: str) -> None:
    gated = Gated()
    workflow, gate = gated.workflow, gated.gate
    async with (
        Runtime.local(workflow, records=any_url) as runtime,
        connect(workflow, records=any_url) as connected,
    ):
        for number, client in enumerate((runtime.client(workflow), connected)):
            gate.clear()

            async def trigger(client: ParcelClient = client, number: int = number) -> ParcelHandle:
                return await client.trigger(f"{number}", Parcel())

            handle = await asyncio.to_thread(asyncio.run, trigger())  # that loop is closed
            assert (await handle.get()).status is Stage.NEW
            waiting = asyncio.create_task(handle.wait(timeout=SOON))
            await asyncio.sleep(0.1)
            gate.set()
            assert (await waiting).status is Stage.DONE


async def test_a_runtime_that_has_served_has_its_usual_deadline_next_time(
    any_url: str,
) -> None:
    workflow, begun, begins = parcels(), asyncio.Event(), 0

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        nonlocal begins
        begins += 1
        begun.set()
        await asyncio.sleep(0.5)
        return Stage.DONE

    runtime = Runtime.local(workflow, records=any_url)
    async with runtime:
        serving = asyncio.create_task(runtime.serve(deadline=0.01))
        await asyncio.sleep(0)  # it has its signal handlers
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(serving, 10)
    async with runtime:
        handle = await runtime.client(workflow).trigger("1", Parcel())
        await begun.wait()
    async with connect(workflow, records=any_url) as client:
        assert (await client.get(handle.run_id)).status is Stage.DONE
    assert begins == 1
