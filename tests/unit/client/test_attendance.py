"""Waits for runs of a workflow that no process runs (U17)."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.unit.parcels import Parcel, Route, routed
from workflow_ray import Client, Handle
from workflow_ray.errors import StoreUnavailable, WaitTimeout
from workflow_ray.records import Fence, Position, Role, WriteGroup, consumer_group
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

FIRST = Role(consumer_group("routed", Route.NEW.value))


class Store(MemoryStore):
    """Counts the reads of positions, which fail when asked to."""

    reads, is_broken = 0, False

    async def positions(self, group: str) -> list[Position]:
        self.reads += 1
        if self.is_broken:
            raise StoreUnavailable("the store", "it is away")
        return await super().positions(group)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return Store(clock)


@pytest.fixture
def client(store: Store, clock: FakeClock) -> Client[Parcel, Route]:
    return Client(routed(), store, clock)


async def held(store: Store, role: Role = FIRST) -> Fence:
    """Have a process work on all partitions of a role."""
    await store.deploy(0, [])
    fence = Fence(role.name, 1)
    positions = [Position(role.group, number, 0, in_use=fence) for number in range(16)]
    await store.store([WriteGroup(positions=tuple(positions))])
    return fence


async def passes(clock: FakeClock, seconds: float) -> None:
    """Let time pass, in steps short enough for what waits to come back."""
    for _ in range(round(seconds)):
        await clock.settle()
        clock.jump(clock.now() + timedelta(seconds=1))
    await clock.settle()


def warnings(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


async def ended(*waits: asyncio.Task[object]) -> None:
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_waits_that_nobody_serves_warn_once_and_name_the_workflow_and_the_command(
    client: Client[Parcel, Route], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    handles = [await client.trigger(f"{number}", Parcel()) for number in range(3)]
    waits = [asyncio.create_task(handle.wait()) for handle in handles]
    waits += [asyncio.create_task(handle.wait_for(Route.SENT)) for handle in handles]
    await passes(clock, 4)
    assert warnings(caplog) == []
    await passes(clock, 120)
    assert warnings(caplog) == [
        "workflow 'routed': no process runs it, so its runs do not go on. Start one:"
        " `workflow-ray worker MODULE:ATTRIBUTE --records URL`"
    ]
    await ended(*waits)


async def test_a_wait_that_goes_on_costs_no_further_read(
    client: Client[Parcel, Route], store: Store, clock: FakeClock
) -> None:
    for number in range(5):
        handle = await client.trigger(f"{number}", Parcel())
        wait = asyncio.create_task(handle.wait_for(Route.SENT))
        await passes(clock, 4)
        await handle.cancel("it has ended")
        await passes(clock, 0)
        assert wait.done()
        await asyncio.gather(wait, return_exceptions=True)
    assert store.reads == 0


async def test_a_long_wait_looks_ever_more_seldom_whoever_waits_beside_it(
    client: Client[Parcel, Route],
    store: Store,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await held(store)
    handles = [await client.trigger(f"{number}", Parcel()) for number in range(200)]
    waits = [asyncio.create_task(handle.wait()) for handle in handles]
    await passes(clock, 5)
    assert 1 <= store.reads <= 2
    await passes(clock, 3600)
    assert store.reads <= 12, "of an hour"
    assert warnings(caplog) == []
    await ended(*waits)


async def timed_out(handle: Handle[Parcel, Route], clock: FakeClock) -> str:
    wait = asyncio.create_task(handle.wait(timeout=2))
    await passes(clock, 3)
    with pytest.raises(WaitTimeout) as raised:
        await wait
    return str(raised.value)


async def test_a_wait_that_times_out_says_that_nobody_runs_the_step(
    client: Client[Parcel, Route], store: Store, clock: FakeClock
) -> None:
    handle = await client.trigger("1", Parcel())
    message = await timed_out(handle, clock)
    assert "No process runs the step of NEW, so the run does not go on. Start one: `work" in message
    await held(store)
    assert "o process runs" not in await timed_out(handle, clock)


async def test_once_the_role_is_released_nobody_runs_the_step(
    client: Client[Parcel, Route], store: Store, clock: FakeClock
) -> None:
    handle, fence = await client.trigger("1", Parcel()), await held(store)
    assert "o process runs" not in await timed_out(handle, clock)
    await store.release(fence)
    assert "No process runs the step of NEW" in await timed_out(handle, clock)


async def test_a_paused_run_waits_for_nobody_and_no_process_is_missed(
    client: Client[Parcel, Route], clock: FakeClock
) -> None:
    handle = await client.trigger("1", Parcel())
    await handle.pause("later")
    assert "o process runs" not in await timed_out(handle, clock)


async def test_a_store_that_can_not_tell_spoils_no_wait(
    client: Client[Parcel, Route],
    store: Store,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.is_broken = True
    handle = await client.trigger("1", Parcel())
    wait = asyncio.create_task(handle.wait())
    await passes(clock, 60)
    assert (wait.done(), warnings(caplog)) == (False, [])
    await ended(wait)
    assert "o process runs" not in await timed_out(handle, clock)
