"""The arguments of circuit breakers."""

import math
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.parcels import ParcelRun, Stage, parcels
from workflow_ray import Breaker
from workflow_ray.errors import InvalidDefinition, InvalidInput


@pytest.mark.parametrize(
    ("wrong", "way_out"),
    [
        ({"error_rate": 0}, "above 0, and up to 1"),
        ({"error_rate": 1.01}, "above 0, and up to 1"),
        ({"error_rate": math.nan}, "above 0, and up to 1"),
        ({"error_rate": "0.5"}, "above 0, and up to 1"),
        ({"error_rate": True}, "above 0, and up to 1"),
        ({"least": 0}, "a whole number from 1 up"),
        ({"least": 2.0}, "a whole number from 1 up"),
        ({"probes": 0}, "a whole number from 1 up"),
        ({"probes": True}, "a whole number from 1 up"),
        ({"window": 0}, "0.1 seconds or more"),
        ({"window": "30 s"}, "seconds or a timedelta"),
        ({"open_for": timedelta(milliseconds=99)}, "0.1 seconds or more"),
        ({"open_for": math.inf}, "from 0 seconds to 100 years"),
        ({"max_open_for": -1}, "from 0 seconds to 100 years"),
    ],
)
def test_wrong_arguments_are_refused_with_a_way_out(wrong: dict[str, Any], way_out: str) -> None:
    (name,) = wrong
    with pytest.raises(InvalidInput, match=way_out) as caught:
        Breaker(**wrong)
    assert caught.value.what.startswith(f"Breaker({name}=")


def test_it_stays_open_for_twice_as_long_each_time_up_to_the_longest() -> None:
    breaker = Breaker(open_for=10, max_open_for=timedelta(seconds=60))
    assert [breaker.open_seconds(times) for times in (1, 2, 3, 4, 5000)] == [10, 20, 40, 60, 60]


def test_a_first_time_beyond_the_longest_is_kept() -> None:
    assert Breaker(open_for=600).open_seconds(1) == 600


def test_a_step_takes_only_a_breaker() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW, breaker=cast_to_any(0.5))
    async def pack(run: ParcelRun) -> Any:
        return Stage.DONE

    with pytest.raises(InvalidDefinition, match=r"can't have breaker=0.5; use Breaker\(\.\.\.\)"):
        workflow.checked()


def cast_to_any(value: object) -> Any:
    return value
