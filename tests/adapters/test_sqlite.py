"""The SQLite adapter: the conformance suite. What is its own is in tests/adapters/sql."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from workflow_ray.ports import Store
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    EventStreamerConformance,
    OutboxMoverConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
)
from workflow_ray_adapters.sql import SqliteAdapter


class TestSqliteStore(RecordStoreConformance, EventStreamerConformance, RoleSchedulerConformance, OutboxMoverConformance):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Store]:
        adapter, url = SqliteAdapter(), f"sqlite:///{tmp_path}/runs.db"
        adapter.create(url)
        async with adapter.open_records(url, clock=clock) as store:
            yield store
