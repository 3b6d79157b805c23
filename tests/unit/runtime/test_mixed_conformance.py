"""The conformance suite, on records, events and timeouts in several places."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from workflow_ray.ports import Store
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.urls import Urls
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    EventStreamerConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)


class TestStoreOfSeveral(
    RecordStoreConformance,
    EventStreamerConformance,
    TimeoutStoreConformance,
    RoleSchedulerConformance,
):
    lacks: ClassVar = {
        Capability.FAULTS: "its parts are in memory: it has no connection to break",
        Capability.DURABILITY: "its parts are in memory",
    }

    @pytest.fixture
    def urls(self, tmp_path: Path) -> Urls:
        urls = Urls(
            f"memory://{tmp_path}-records",
            f"memory://{tmp_path}-events",
            f"memory://{tmp_path}-timeouts",
        )
        create(urls)
        return urls

    @pytest.fixture
    def another(self, urls: Urls, clock: FakeClock) -> Another:
        return lambda: beside(urls, clock)

    @pytest.fixture
    async def store(self, another: Another) -> AsyncIterator[Store]:
        async with another() as store:
            yield store


@asynccontextmanager
async def beside(urls: Urls, clock: FakeClock) -> AsyncGenerator[Store]:
    async with open_store(urls, clock=clock, exclusive=False) as store:
        yield store
