"""No error ends a background task of a store: it is logged, and the task goes on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from workflow_ray.records import Version
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.redis import RedisAdapter, background, lock
from workflow_ray_adapters.redis.notifications import Notifications

from .conftest import BASE, Driver

SOON = 10.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.01)


def failing_once(work: Callable[..., Any]) -> Callable[..., Any]:
    failures = iter([ZeroDivisionError("a bug")])

    def failing(*args: Any, **kwargs: Any) -> Any:
        for error in failures:
            raise error
        return work(*args, **kwargs)

    return failing


async def test_no_unexpected_error_ends_the_listener(
    url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [new_run(), new_run()]
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as store:
        watches = [
            asyncio.create_task(store.watch({run.run_id: Version(0)}, wait=60)) for run in runs
        ]
        # until it listens, because an earlier notification would be noticed in another way
        await asyncio.sleep(0.1)
        monkeypatch.setattr(Notifications, "notify", failing_once(Notifications.notify))
        with caplog.at_level(logging.ERROR):
            await store_all(store, runs[0])
            while "a bug" not in caplog.text:
                await asyncio.sleep(0.01)
        await store_all(store, runs[1])
        async with asyncio.timeout(SOON):
            await asyncio.gather(*watches)
    assert "the listener failed. It is started again" in caplog.text


async def test_no_unexpected_error_ends_the_keeper_of_the_lock(
    url: str,
    clock: FakeClock,
    behind: Driver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lock, "RENEWED", 0.01)
    async with RedisAdapter().open_records(url, clock=clock):
        monkeypatch.setattr(lock, "_acquire", failing_once(lock._acquire))  # pyright: ignore[reportPrivateUsage]  # the test puts a bug into it
        async with asyncio.timeout(SOON):
            while "a bug" not in caplog.text:
                await asyncio.sleep(0.01)
            behind.delete(f"{BASE}:exclusive")
            while not behind.exists(f"{BASE}:exclusive"):
                await asyncio.sleep(0.01)
    assert "the keeper of the store's lock failed. It is started again" in caplog.text
