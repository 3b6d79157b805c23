"""Whatever dies: what is young is kept, its keys answer as before, and what is old is removed."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.unit.roles.letter_machine import LetterMachine
from tests.unit.roles.simulation import simulate
from workflow_ray.ports import Store
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore


@asynccontextmanager
async def in_memory(clock: FakeClock) -> AsyncGenerator[Store]:
    yield MemoryStore(clock)


@pytest.mark.timeout(3600)
def test_what_is_removed_was_old_enough_and_its_keys_answer_until_they_are(
    seed: int, thorough: bool
) -> None:
    simulate(LetterMachine, in_memory, seed, examples=1000 if thorough else 12, steps=40)
