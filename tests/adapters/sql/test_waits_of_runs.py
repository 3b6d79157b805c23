"""The property tests of what runs wait for, and of retention, on SQLite, whose calls take real time
in threads.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import Phase

from tests.unit.roles.letter_machine import LetterMachine
from tests.unit.roles.simulation import simulate
from tests.unit.roles.trip_machine import TripMachine
from workflow_ray.ports import Store
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.sql import SqliteAdapter

QUIET = 0.003
"""Seconds of real time. If no wait begins or ends meanwhile, no call of the store is under way."""


class PatientClock(FakeClock):
    """Waits also for the threads of the store, before it lets time pass."""

    async def settle(self) -> None:
        await super().settle()
        waits = -1
        while waits != self._waits:
            waits = self._waits
            await asyncio.sleep(QUIET)
            await super().settle()


@asynccontextmanager
async def in_a_file(clock: FakeClock) -> AsyncGenerator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/runs.db"
        SqliteAdapter().create(url)
        async with SqliteAdapter().open_records(url, clock=clock, exclusive=False) as store:
            yield store


@pytest.mark.timeout(3600)
def test_what_runs_wait_for_counts_once_and_is_never_missed_on_sqlite(
    seed: int, thorough: bool
) -> None:
    simulate(
        TripMachine,
        in_a_file,
        seed,
        examples=100 if thorough else 4,
        steps=25,
        clock_class=PatientClock,
        patience=20,
        phases=[Phase.generate],  # threads do not repeat exactly what they did
    )


@pytest.mark.timeout(3600)
def test_what_is_removed_was_old_enough_and_its_keys_answer_until_they_are_on_sqlite(
    seed: int, thorough: bool
) -> None:
    simulate(
        LetterMachine,
        in_a_file,
        seed,
        examples=100 if thorough else 2,
        steps=25,
        clock_class=PatientClock,
        patience=20,
        phases=[Phase.generate],
    )
