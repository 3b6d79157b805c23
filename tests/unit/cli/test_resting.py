"""A job says what its runs wait for when nothing changes."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import pytest

from tests.unit.engine.test_awaited import NOW, RECORD, waits
from workflow_ray.cli.resting import QUIET, Resting
from workflow_ray.records import Awaits, RunId, Version


@pytest.fixture
def said() -> list[str]:
    return []


class Store:
    """Knows when steps are due."""

    def __init__(self) -> None:
        self.due = dict[RunId, datetime]()
        self.asked = list[Mapping[RunId, Version]]()

    async def due_times(self, steps: Mapping[RunId, Version]) -> Mapping[RunId, datetime]:
        self.asked.append(steps)
        return {run_id: due_at for run_id, due_at in self.due.items() if run_id in steps}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def resting(said: list[str], store: Store) -> Resting:
    return Resting(waits, said.append, store.due_times, now=0.0)


async def test_it_says_once_what_runs_wait_for(resting: Resting, said: list[str]) -> None:
    for number in range(2):
        resting.note(msgspec.structs.replace(RECORD, run_id=RunId(str(number))), now=1.0)
    for now in (1.0, QUIET, QUIET + 1.0, QUIET + 2.0, 10 * QUIET):
        await resting.tell(now)
    assert said == [
        "2 runs rest at AWAITING_PAYMENT, waiting for callback paid, or timeout expire. This"
        " command waits for their ends."
    ]


async def test_it_says_so_again_when_other_runs_rest(resting: Resting, said: list[str]) -> None:
    resting.note(RECORD, now=0.0)
    await resting.tell(QUIET)
    resting.note(msgspec.structs.replace(RECORD, run_id=RunId("other")), now=QUIET)
    await resting.tell(2 * QUIET)
    assert [line[:6] for line in said] == ["1 run ", "2 runs"]


async def test_runs_that_go_on_are_not_named(resting: Resting, said: list[str]) -> None:
    resting.note(RECORD, now=0.0)
    resting.note(msgspec.structs.replace(RECORD, awaits=Awaits.EVENT), now=0.0)
    await resting.tell(QUIET)
    assert said == []


async def test_it_says_when_the_first_of_delayed_steps_is_due(
    resting: Resting, store: Store, said: list[str]
) -> None:
    for number in range(3):
        run_id = RunId(str(number))
        asking = {"awaits": Awaits.EVENT, "awaited": Version(2)}
        resting.note(msgspec.structs.replace(RECORD, run_id=run_id, **asking), now=1.0)
        if number:
            store.due[run_id] = NOW + timedelta(hours=3 - number)
    for now in (1.0, QUIET + 1.0, QUIET + 2.0):
        await resting.tell(now)
    assert said == [
        "2 runs rest at AWAITING_PAYMENT, waiting for their steps (the first due 2026-11-26"
        " 11:00:00Z). This command waits for their ends."
    ]
    assert store.asked == [{RunId(str(number)): Version(2) for number in range(3)}]
