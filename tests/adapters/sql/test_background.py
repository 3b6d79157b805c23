"""No task of a store dies unnoticed: what it raises is logged, and it goes on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from workflow_ray.records import Version
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql import background, changes
from workflow_ray_adapters.sql.timer import Timer
from workflow_ray_adapters.sql.wakeups import Wakeups

from .conftest import Opener

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


async def test_no_unexpected_error_ends_the_poller(
    store_id: str, opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(changes, "read", failing_once(changes.read))
    runs = [new_run(), new_run()]
    async with opened() as here, opened(exclusive=False) as there:
        waiting = [
            asyncio.create_task(here.watch({run.run_id: Version(0)}, wait=60)) for run in runs
        ]
        with caplog.at_level(logging.ERROR):
            await store_all(there, runs[0])
            while "a bug" not in caplog.text:
                await asyncio.sleep(0.01)
        await store_all(there, runs[1])
        async with asyncio.timeout(SOON):
            await asyncio.gather(*waiting)
    assert "the poller failed. It is started again" in caplog.text


async def test_no_unexpected_error_ends_the_timer(
    store_id: str, opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fired = asyncio.Event()

    def fire(_: object) -> None:
        fired.set()

    async with opened() as store:
        timer: Timer[Any] = store._wakeups.timer  # pyright: ignore[reportPrivateUsage]  # a bug in it is what is tried
        monkeypatch.setattr(timer, "_fire", failing_once(fire))
        with caplog.at_level(logging.ERROR):
            timer.set(("orders", 1), 1)
            while "a bug" not in caplog.text:
                await asyncio.sleep(0.01)
        timer.set(("orders", 1), 1)
        async with asyncio.timeout(SOON):
            await fired.wait()
    assert "the timer failed. It is started again" in caplog.text


async def test_no_unexpected_error_ends_the_writer(
    store_id: str, opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Wakeups, "committed", failing_once(Wakeups.committed))
    run = new_run()
    async with opened() as store:
        with caplog.at_level(logging.ERROR), pytest.raises(Exception, match="a bug"):
            await store_all(store, run)
        async with asyncio.timeout(SOON):
            assert len(await store_all(store, run)) == 1
    assert "the writer failed. It goes on" in caplog.text
