"""Stores on every database, which tests use through the ports."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.adapters.sql import databases
from workflow_ray.ports import Clock, records_adapter
from workflow_ray_adapters.sql.store import SqlStore


async def made(request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the URL of a new store on the database that the fixture's parameter names."""
    url = databases.empty(request.param, request, folder)
    await asyncio.to_thread(records_adapter(url).create, url)
    return url


@asynccontextmanager
async def opened(url: str, clock: Clock) -> AsyncGenerator[SqlStore]:
    async with records_adapter(url).open_records(url, clock=clock, exclusive=False) as store:
        assert isinstance(store, SqlStore)
        yield store
