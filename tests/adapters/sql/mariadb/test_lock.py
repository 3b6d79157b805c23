"""The task that keeps the lock of the process that serves a store."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_ray.errors import StoreInUse
from workflow_ray_adapters.sql.mariadb import lock

from .conftest import Opener


async def test_no_unexpected_error_ends_the_keeper_of_the_lock(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock, "POLL", 0.05)
    watch, failures = lock.ServiceLock._watch, iter([ZeroDivisionError("a bug")])  # pyright: ignore[reportPrivateUsage]

    async def failing(self: lock.ServiceLock, connection: AsyncConnection) -> None:
        for error in failures:
            raise error
        await watch(self, connection)

    monkeypatch.setattr(lock.ServiceLock, "_watch", failing)
    async with opened(exclusive=True):
        while "a bug" not in caplog.text:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        with pytest.raises(StoreInUse):
            async with opened(exclusive=True):
                pass
