"""Clients of a driver that has left, and `serve` on Ray (U8, U2)."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from tests.ray.conftest import Deployment
from tests.ray.flows import Parcel, ParcelStatus, parcels
from workflow_ray import RunState, Runtime
from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.ipc import Reconnecting

SOON = timedelta(seconds=20)
AT_ONCE = 5.0
"""Seconds. A client repeats a call for 30."""


async def refused(call: Awaitable[object]) -> None:
    begun = time.monotonic()
    with pytest.raises(RuntimeUnavailable, match="it was left before this call or during it"):
        await call
    assert time.monotonic() - begun < AT_ONCE


async def test_a_drivers_client_fails_at_once_after_the_end_and_no_wait_hangs(
    deployment: Deployment,
) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        client = runtime.client(parcels)
        handle = await client.trigger("1", Parcel())
        await handle.wait(timeout=SOON)
        await runtime.undeploy(parcels)
        handle = await client.trigger("2", Parcel())  # nobody runs it

        async def wait() -> None:
            await handle.wait()

        waiting = [
            asyncio.create_task(wait()),
            asyncio.create_task(asyncio.to_thread(asyncio.run, wait())),
        ]
        await asyncio.sleep(0.3)  # they wait
    for call in (*waiting, client.trigger("3", Parcel()), handle.get(), handle.wait()):
        await refused(call)


async def test_other_threads_event_loops_use_a_drivers_client_and_handles(
    deployment: Deployment,
) -> None:
    async with Runtime.ray(parcels, records=deployment.records) as runtime:
        client = runtime.client(parcels)

        async def trigger() -> str:
            handle = await client.trigger("1", Parcel())
            await handle.wait(timeout=SOON)
            return handle.run_id

        run_id = await asyncio.to_thread(asyncio.run, trigger())
        assert (await client.get(run_id)).run_state is RunState.COMPLETED
        handle = client.handle(run_id)

        async def wait_for() -> ParcelStatus:
            return (await handle.wait_for(ParcelStatus.SENT, timeout=SOON)).status

        assert await asyncio.to_thread(asyncio.run, wait_for()) is ParcelStatus.SENT


async def test_serve_waits_for_a_signal_and_leaves_the_roles_running(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = list[Reconnecting]()
    close = Reconnecting.close

    def count(transport: Reconnecting) -> None:
        closed.append(transport)
        close(transport)

    monkeypatch.setattr(Reconnecting, "close", count)
    runtime = Runtime.ray(parcels, records=deployment.records)
    async with runtime:
        pids = await deployment.pids()
        closed.clear()
        serving = asyncio.create_task(runtime.serve())
        await asyncio.sleep(0)  # it has its signal handlers
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(serving, 10)
        with pytest.raises(RuntimeUnavailable, match="use it inside"):
            runtime.client(parcels)
    assert len(closed) == 1, "the connection is closed once"
    assert await deployment.pids() == pids
    async with runtime:  # and it may be entered again
        handle = await runtime.client(parcels).trigger("1", Parcel())
        assert (await handle.wait(timeout=SOON)).run_state is RunState.COMPLETED
