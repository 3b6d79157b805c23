"""The states of a circuit breaker, and which attempts it admits in each."""

import random
from dataclasses import dataclass, field

import pytest

from workflow_ray.definition import Breaker
from workflow_ray.engine.breaker import (
    MARGIN,
    SLICES,
    SPREAD,
    Admitted,
    BreakerState,
    CircuitBreaker,
    Held,
)

CLOSED, OPEN, HALF_OPEN = BreakerState
LIMITS = Breaker(error_rate=0.5, window=10, least=4, open_for=30, max_open_for=60, probes=2)


def admitted(breaker: CircuitBreaker, now: float, *, is_last: bool = False) -> Admitted:
    answer = breaker.admit(now, 0.5, is_last=is_last)
    assert isinstance(answer, Admitted)
    return answer


def held(
    breaker: CircuitBreaker, now: float, jitter: float = 0.5, *, is_last: bool = False
) -> Held:
    answer = breaker.admit(now, jitter, is_last=is_last)
    assert isinstance(answer, Held)
    return answer


def attempts(breaker: CircuitBreaker, now: float, *failed: bool | None) -> None:
    """Make attempts, one after the other."""
    for each in failed:
        breaker.ended(admitted(breaker, now), now, failed=each)


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(LIMITS, "charge")
    attempts(breaker, now, True, True, True, True)
    assert breaker.state is OPEN
    return breaker


def half_opened(now: float = 30.0) -> tuple[CircuitBreaker, list[Admitted]]:
    """A breaker whose probes run."""
    breaker = opened(now - 30.0)
    return breaker, [admitted(breaker, now) for _ in range(LIMITS.probes)]


# --- closed -------------------------------------------------------------------------------------


def test_it_opens_when_the_share_of_failures_reaches_the_rate() -> None:
    breaker = CircuitBreaker(LIMITS, "charge")
    attempts(breaker, 0.0, False, False, False, True, True)
    assert (breaker.state, breaker.describe(0.0)) == (CLOSED, None)
    attempts(breaker, 1.0, True)
    assert breaker.state is OPEN
    why = "the circuit breaker of charge is open: 3 of 6 attempts failed; next try in 30 s"
    assert breaker.describe(1.0) == why
    assert held(breaker, 1.0).reason == why


def test_it_stays_closed_before_the_least_attempts_have_ended() -> None:
    breaker = CircuitBreaker(LIMITS, "charge")
    attempts(breaker, 0.0, True, True, True)
    assert breaker.state is CLOSED
    attempts(breaker, 0.0, False)
    assert breaker.state is OPEN


def test_attempts_before_the_window_do_not_count() -> None:
    breaker = CircuitBreaker(LIMITS, "charge")
    attempts(breaker, 0.0, True, True, True)
    attempts(breaker, 10.0, True)
    assert breaker.state is CLOSED
    attempts(breaker, 10.0, True, True, True)
    assert breaker.state is OPEN


def test_an_end_that_tells_nothing_does_not_count() -> None:
    breaker = CircuitBreaker(LIMITS, "charge")
    attempts(breaker, 0.0, *[None] * 50, True, True, True)
    assert breaker.state is CLOSED


# --- open ---------------------------------------------------------------------------------------


def test_attempts_that_were_admitted_before_it_opened_do_not_count_any_more() -> None:
    breaker = CircuitBreaker(LIMITS, "charge")
    running = [admitted(breaker, 0.0) for _ in range(20)]
    for each in running:
        breaker.ended(each, 1.0, failed=True)
    assert breaker.describe(1.0) == (
        "the circuit breaker of charge is open: 4 of 4 attempts failed; next try in 30 s"
    )
    late, *_ = running
    assert not breaker.is_current(late)
    assert isinstance(breaker.admit(30.0, 0.5), Held)
    assert isinstance(breaker.admit(31.0, 0.5), Admitted)
    breaker.ended(late, 31.0, failed=True)
    assert breaker.state is HALF_OPEN


def test_the_first_runs_come_back_for_the_probes_and_the_others_later() -> None:
    breaker = opened()
    first = [held(breaker, 10.0, jitter).again_in for jitter in (0.0, 1.0)]
    assert first == [20.0, 20.0]
    others = [held(breaker, 10.0, jitter).again_in for jitter in (0.0, 1.0)]
    assert others == [20.0 + 30.0 * MARGIN, 20.0 + 30.0 * (MARGIN + SPREAD)]


# --- half-open ----------------------------------------------------------------------------------


def test_it_closes_when_all_probes_have_succeeded() -> None:
    breaker, (one, other) = half_opened()
    assert breaker.describe(30.0) == (
        "the circuit breaker of charge is half-open: 4 of 4 attempts failed; it waits for 2"
        " attempts to succeed"
    )
    breaker.ended(one, 31.0, failed=False)
    assert held(breaker, 31.0, 0.0).again_in == 30.0 * MARGIN
    breaker.ended(other, 32.0, failed=False)
    assert (breaker.state, breaker.describe(32.0)) == (CLOSED, None)
    attempts(breaker, 32.0, True, True, True)
    assert breaker.state is CLOSED, "the failures before do not count any more"


def test_it_opens_again_for_longer_when_a_probe_fails() -> None:
    breaker, (one, other) = half_opened()
    breaker.ended(one, 31.0, failed=False)
    breaker.ended(other, 32.0, failed=True)
    assert held(breaker, 32.0) == Held(
        "the circuit breaker of charge is open: one of 2 probes failed; next try in 1 min", 60.0
    )
    attempts(breaker, 92.0, True)
    assert held(breaker, 92.0).again_in == 60.0, "the longest time"
    attempts(breaker, 152.0, False, False)
    assert breaker.state is CLOSED
    attempts(breaker, 153.0, True, True, True, True)
    assert held(breaker, 153.0).again_in == 30.0


def test_while_probes_take_long_the_others_are_tried_again_more_and_more_seldom() -> None:
    breaker, _ = half_opened()
    for now, later in ((31.0, 30.0), (60.0, 30.0), (75.0, 45.0), (1000.0, 60.0)):
        assert held(breaker, now, 0.0).again_in == later * MARGIN
        assert held(breaker, now, 1.0).again_in == later * (MARGIN + SPREAD)


def test_after_a_quiet_time_the_next_runs_are_the_probes() -> None:
    breaker = opened()
    assert (breaker.describe(4000.0) or "").endswith("it waits for 2 attempts to succeed")
    attempts(breaker, 4000.0, False, False)
    assert breaker.state is CLOSED


def test_a_probe_that_tells_nothing_is_replaced_by_another() -> None:
    breaker, (one, other) = half_opened()
    held(breaker, 31.0)
    breaker.ended(one, 31.0, failed=None)
    third = admitted(breaker, 31.0)
    held(breaker, 31.0)
    for each in (other, third):
        breaker.ended(each, 32.0, failed=False)
    assert breaker.state is CLOSED


def test_a_run_on_its_last_attempt_is_a_probe_only_if_others_do_not_come() -> None:
    breaker = opened()
    assert held(breaker, 0.0, 0.0, is_last=True).again_in == 30.0 * (1 + MARGIN)
    assert held(breaker, 0.0).again_in == 30.0
    held(breaker, 30.0, is_last=True)
    assert breaker.state is HALF_OPEN
    admitted(breaker, 30.0)
    held(breaker, 59.0, is_last=True)
    admitted(breaker, 60.0, is_last=True)

    breaker = opened()
    held(breaker, 0.0, is_last=True)
    admitted(breaker, 30.0, is_last=True)


def test_what_was_admitted_before_can_be_held_back() -> None:
    breaker = CircuitBreaker(LIMITS, "charge")
    early = admitted(breaker, 0.0)
    assert breaker.is_current(early)
    attempts(breaker, 0.0, True, True, True, True)
    assert not breaker.is_current(early)
    assert breaker.hold(10.0, 0.0).again_in == 20.0 + 30.0 * MARGIN


# --- whatever happens ---------------------------------------------------------------------------


@dataclass
class Model:
    """What is known of a breaker from outside."""

    limits: Breaker
    running: list[Admitted] = field(default_factory=list[Admitted])
    ended: list[tuple[float, bool]] = field(default_factory=list[tuple[float, bool]])
    probes: int = 0  # that were admitted since it half-opened
    neutral: int = 0  # of them, those that told nothing
    open_until: float = 0.0

    def in_window(self, now: float) -> list[bool]:
        size = float(self.limits.window) / SLICES  # type: ignore[arg-type]  # it is in seconds
        return [failed for at, failed in self.ended if at // size > now // size - SLICES]


@pytest.mark.parametrize("times", range(30))
def test_it_never_admits_too_much_and_opens_and_closes_by_its_limits(
    rng: random.Random, times: int
) -> None:
    limits = Breaker(
        error_rate=rng.choice([0.1, 0.5, 1.0]),
        window=rng.choice([1.0, 10.0]),
        least=rng.randrange(1, 8),
        open_for=rng.choice([1.0, 5.0]),
        max_open_for=20.0,
        probes=rng.randrange(1, 5),
    )
    breaker, model = CircuitBreaker(limits, "charge"), Model(limits)
    now, share = 0.0, rng.random()
    for _ in range(2000):
        now += rng.choice([0.0, 0.01, 0.3, 2.0])
        if rng.random() < 0.01:
            share = rng.choice([0.0, 0.3, 1.0])
        if model.running and rng.random() < 0.5:
            end_one(breaker, model, now, rng, share)
        else:
            begin_one(breaker, model, now, rng)


def begin_one(breaker: CircuitBreaker, model: Model, now: float, rng: random.Random) -> None:
    before = breaker.state
    answer = breaker.admit(now, rng.random(), is_last=rng.random() < 0.2)
    if before is OPEN and breaker.state is HALF_OPEN:
        assert now >= model.open_until
        model.probes = model.neutral = 0
    if isinstance(answer, Admitted):
        assert breaker.state is not OPEN
        assert before is not OPEN or now >= model.open_until
        model.running.append(answer)
        if breaker.state is HALF_OPEN:
            model.probes += 1
            assert model.probes - model.neutral <= model.limits.probes
        return
    assert before is not CLOSED
    longest = model.limits.open_seconds(64)
    left = max(0.0, model.open_until - now)
    assert left - 1e-9 <= answer.again_in <= left + longest * (MARGIN + SPREAD)
    assert answer.reason.startswith(f"the circuit breaker of charge is {breaker.state}: ")


def end_one(
    breaker: CircuitBreaker, model: Model, now: float, rng: random.Random, share: float
) -> None:
    one = model.running.pop(rng.randrange(len(model.running)))
    before, is_current = breaker.state, breaker.is_current(one)
    failed = None if rng.random() < 0.1 else rng.random() < share
    breaker.ended(one, now, failed=failed)
    if not is_current or failed is None:
        assert breaker.state is before
        model.neutral += is_current and before is HALF_OPEN
        return
    if before is CLOSED:
        model.ended.append((now, failed))
        counted = model.in_window(now)
        opens = len(counted) >= model.limits.least and sum(
            counted
        ) >= model.limits.error_rate * len(counted)
        assert breaker.state is (OPEN if opens else CLOSED)
    elif failed:
        assert breaker.state is OPEN
    elif breaker.state is CLOSED:
        assert model.probes - model.neutral == model.limits.probes
    if breaker.state is not before:
        model.ended.clear()
        if breaker.state is OPEN:
            answer = breaker.hold(now, 0.0)
            open_for = answer.again_in / (1 + MARGIN)
            assert float(model.limits.open_for) - 1e-9 <= open_for <= 20.0 + 1e-9  # type: ignore[arg-type]  # it is in seconds
            model.open_until = now + open_for
