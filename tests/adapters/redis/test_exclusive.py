"""A store can be open exclusively."""

import asyncio
import logging
import subprocess
import sys
from time import monotonic

import pytest

from workflow_ray.errors import StoreInUse
from workflow_ray.records import Role
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import stored_run
from workflow_ray_adapters.redis import RedisAdapter, lock
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver

HOLDER = """
import asyncio, sys
from workflow_ray.ports import SystemClock
from workflow_ray_adapters.redis import RedisAdapter

async def main():
    async with RedisAdapter().open_records(sys.argv[1], clock=SystemClock()):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def served(url: str, patience: float) -> None:
    async with RedisAdapter().open_records(url, clock=FakeClock(), patience=patience):
        pass


async def test_a_second_exclusive_opening_waits_for_the_first_to_close(
    url: str, clock: FakeClock
) -> None:
    async with RedisAdapter().open_records(url, clock=clock):
        second = asyncio.create_task(served(url, patience=30))
        await asyncio.wait({second}, timeout=0.3)
        assert not second.done()
    await asyncio.wait_for(second, timeout=5)


async def test_a_second_exclusive_opening_fails_when_its_patience_ends(
    url: str, clock: FakeClock
) -> None:
    async with RedisAdapter().open_records(url, clock=clock):
        with pytest.raises(StoreInUse):
            await served(url, patience=0.2)


async def test_other_openings_work_beside_an_exclusive_one_but_share_no_roles(
    url: str, clock: FakeClock, store: RedisStore
) -> None:
    async with RedisAdapter().open_records(url, clock=clock):
        await stored_run(store)
        with pytest.raises(StoreInUse):
            await store.share("a", [Role("orders-1-consumer")], [], lease=10)
        assert (await store.activity()).is_served
    assert not (await store.activity()).is_served
    await store.share("a", [Role("orders-1-consumer")], [], lease=10)


async def test_a_lock_is_held_for_longer_than_it_lasts_without_renewal(
    url: str, clock: FakeClock, behind: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LASTS", 0.3)
    monkeypatch.setattr(lock, "RENEWED", 0.05)
    async with RedisAdapter().open_records(url, clock=clock):
        with pytest.raises(StoreInUse):
            await served(url, patience=1)
    assert not behind.exists(f"{BASE}:exclusive")


async def test_the_lock_of_a_killed_holder_ends_within_the_patience_of_others(url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        try:
            assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
            with pytest.raises(StoreInUse):
                await served(url, patience=0)
        finally:
            holder.kill()
    began = monotonic()
    await served(url, patience=5)
    assert monotonic() - began < 5


async def test_a_holder_that_lost_the_lock_to_another_logs_it_and_does_not_take_it_back(
    url: str,
    clock: FakeClock,
    behind: Driver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lock, "RENEWED", 0.02)
    async with RedisAdapter().open_records(url, clock=clock):
        behind.set(f"{BASE}:exclusive", "another")
        async with asyncio.timeout(5):
            while not (
                errors := [record for record in caplog.records if record.levelno == logging.ERROR]
            ):
                await asyncio.sleep(0.01)
    assert "another has the store exclusively" in errors[0].message
    assert behind.get(f"{BASE}:exclusive") == "another"


async def test_a_holder_whose_lock_was_forgotten_acquires_it_again(
    url: str, clock: FakeClock, behind: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEWED", 0.02)
    async with RedisAdapter().open_records(url, clock=clock):
        behind.delete(f"{BASE}:exclusive")
        async with asyncio.timeout(5):
            while not behind.exists(f"{BASE}:exclusive"):
                await asyncio.sleep(0.01)
