"""A job says what its runs wait for when nothing changes."""

import msgspec
import pytest

from tests.unit.engine.test_awaited import RECORD, waits
from workflow_ray.cli.resting import QUIET, Resting
from workflow_ray.records import Awaits, RunId


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def resting(said: list[str]) -> Resting:
    return Resting(waits, said.append, now=0.0)


def test_it_says_once_what_runs_wait_for(resting: Resting, said: list[str]) -> None:
    for number in range(2):
        resting.note(msgspec.structs.replace(RECORD, run_id=RunId(str(number))), now=1.0)
    for now in (1.0, QUIET, QUIET + 1.0, QUIET + 2.0, 10 * QUIET):
        resting.tell(now)
    assert said == [
        "2 runs rest at AWAITING_PAYMENT, waiting for callback paid, or timeout expire. This"
        " command waits for their ends."
    ]


def test_it_says_so_again_when_other_runs_rest(resting: Resting, said: list[str]) -> None:
    resting.note(RECORD, now=0.0)
    resting.tell(QUIET)
    resting.note(msgspec.structs.replace(RECORD, run_id=RunId("other")), now=QUIET)
    resting.tell(2 * QUIET)
    assert [line[:6] for line in said] == ["1 run ", "2 runs"]


def test_runs_that_go_on_are_not_named(resting: Resting, said: list[str]) -> None:
    resting.note(RECORD, now=0.0)
    resting.note(msgspec.structs.replace(RECORD, awaits=Awaits.EVENT), now=0.0)
    resting.tell(QUIET)
    assert said == []
