"""Stores on every database, which tests use through the ports."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from workflow_ray.ports import Clock, records_adapter
from workflow_ray_adapters.sql.store import SqlStore


@asynccontextmanager
async def opened(url: str, clock: Clock) -> AsyncGenerator[SqlStore]:
    async with records_adapter(url).open_records(url, clock=clock, exclusive=False) as store:
        assert isinstance(store, SqlStore)
        yield store
