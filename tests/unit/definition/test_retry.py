"""Retries and their delays."""

import math
import random
from datetime import timedelta
from typing import Any

import pytest

from workflow_ray.definition import Repeat, Retry
from workflow_ray.errors import InvalidInput


def test_delays_grow_by_the_factor_up_to_the_longest_and_keep_at_least_half(
    rng: random.Random,
) -> None:
    retry = Retry(
        attempts=9, backoff=timedelta(seconds=2), factor=3.0, max_backoff=timedelta(seconds=40)
    )
    for attempt, full in [(1, 2), (2, 6), (3, 18), (4, 40), (5, 40), (5000, 40)]:
        for _ in range(50):
            assert full / 2 <= retry.delay(str(rng.random()), attempt) <= full


def test_a_delay_costs_no_time_to_compute_however_large_factor_and_attempts_are() -> None:
    retry = Retry(attempts=10**9, backoff=1, factor=10**300, max_backoff=40)
    assert 20 <= retry.delay("1", 10**9) <= 40


def test_runs_that_fail_together_are_retried_at_different_times() -> None:
    assert len({Retry().delay(f"run-{n}", 1) for n in range(100)}) > 90


def test_the_delay_of_an_attempt_is_always_the_same() -> None:
    assert Retry().delay("run", 2) == Retry().delay("run", 2)


@pytest.mark.parametrize("attempt", [1, 3, 5000])
def test_without_backoff_the_delay_is_zero(attempt: int) -> None:
    assert Retry(backoff=timedelta(0)).delay("run", attempt) == 0


def test_a_first_delay_beyond_the_longest_is_kept() -> None:
    assert 1800 <= Retry(backoff=timedelta(hours=1)).delay("run", 2) <= 3600


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"backoff": timedelta(seconds=-1)},
        {"factor": 0.5},
        {"factor": math.inf},
        {"factor": math.nan},
        {"max_backoff": timedelta(-1)},
        {"attempts": True},
        {"attempts": 1.5},
        {"backoff": "1s"},
        {"backoff": timedelta.max},
        {"factor": "2"},
        {"fatal": ValueError},
        {"fatal": [ValueError]},
        {"fatal": (ValueError, "OSError")},
        {"fatal": (ValueError("x"),)},
        {"fatal": (int,)},
        {"fatal": (BaseException,)},
        {"fatal": (ValueError, KeyboardInterrupt)},
        {"fatal": None},
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidInput, match=rf"Retry\({name}="):
        Retry(**wrong)


def test_the_delay_of_a_repeat_is_not_negative() -> None:
    with pytest.raises(InvalidInput, match=r"Repeat\(after="):
        Repeat(after=timedelta(seconds=-1))


@pytest.mark.parametrize("seconds", [8, 8.0, timedelta(seconds=8)])
def test_delays_are_seconds_or_timedeltas(seconds: float | timedelta) -> None:
    assert Retry(backoff=seconds).delay("run", 1) == Retry(backoff=timedelta(seconds=8)).delay(
        "run", 1
    )
    assert Retry(backoff=100, max_backoff=seconds).delay("run", 2) <= 100


@pytest.mark.parametrize("after", [timedelta(-1), timedelta.max, "1s", True, math.nan])
def test_a_repeat_comes_after_some_time(after: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^Repeat\(after="):
        Repeat(after)
