"""Whatever runs wait for and whatever dies: nothing counts twice, and nothing is missed."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.unit.roles.simulation import simulate
from tests.unit.roles.trip_machine import TripMachine
from workflow_ray.ports import Store
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore


@asynccontextmanager
async def in_memory(clock: FakeClock) -> AsyncGenerator[Store]:
    yield MemoryStore(clock)


@pytest.mark.timeout(3600)
def test_what_runs_wait_for_counts_once_and_is_never_missed(seed: int, thorough: bool) -> None:
    simulate(TripMachine, in_memory, seed, examples=1000 if thorough else 30, steps=40)
