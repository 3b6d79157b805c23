"""The state of one circuit breaker. Pure: it is told the time."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.durations import seconds_of, spelled

SLICES = 10
"""The parts of the window. Attempts are counted by part, so that the memory does not grow."""
MARGIN, SPREAD = 0.1, 0.25
"""How much later than the probes other runs are tried again, as parts of the time for which the
breaker was open: at least MARGIN, and up to SPREAD more, so that they do not come all at once.
"""
LONGEST = 64
"""The openings in a row after which it stays open for the longest time."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    """It lets no attempt through."""
    HALF_OPEN = "half-open"
    """It lets the probes through."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The attempt may be made."""

    period: int  # the breaker has changed its state so often


@dataclass(frozen=True, slots=True)
class Held:
    """The attempt is not made."""

    reason: str
    again_in: float  # seconds


class CircuitBreaker:
    """Decides which attempts at a step are made, from how the last ones have ended.

    Times are seconds of a monotonic clock. Attempts that were admitted before the state changed do
    not count any more.

    Args:
        breaker: The limits.
        step: The step's name.
    """

    def __init__(self, breaker: Breaker, step: str) -> None:
        self.state = BreakerState.CLOSED
        self._breaker = breaker
        self._step = step
        self._period = 0
        self._window = _Window(seconds_of("window", breaker.window))
        self._why = ""
        self._openings = 0  # in a row
        self._open_for = 0.0
        self._open_until = 0.0
        self._chosen = 0  # runs that come back for the probes
        self._probing = 0  # probes that run
        self._probing_since = 0.0
        self._succeeded = 0  # probes

    def admit(self, now: float, jitter: float, *, is_last: bool = False) -> Admitted | Held:
        """Decide whether an attempt that is ready is made.

        Args:
            now: The time.
            jitter: From 0 to 1, different for each run.
            is_last: Whether it is the last attempt that the run has. A probe is rather one that
                has others, because it may well fail.
        """
        if self.state is BreakerState.OPEN:
            if now < self._open_until:
                return self._hold(now, jitter, is_probe=not is_last)
            self._enter(BreakerState.HALF_OPEN)
            self._probing_since = now
        if self.state is BreakerState.HALF_OPEN:
            if self._is_full() or (is_last and self._has_better_probes(now)):
                return self._hold(now, jitter)
            self._probing += 1
        return Admitted(self._period)

    def ended(self, admitted: Admitted, now: float, *, failed: bool | None) -> None:
        """Note how an attempt has ended.

        Args:
            admitted: The answer to `admit`.
            now: The time.
            failed: Whether it has failed. None: how it ended tells nothing.
        """
        if not self.is_current(admitted):
            return
        if self.state is BreakerState.HALF_OPEN:
            self._probing -= 1
            if failed:
                self._open(now, f"one of {self._breaker.probes} probes failed")
            elif failed is not None:
                self._succeeded += 1
                if self._succeeded == self._breaker.probes:
                    self._close()
        elif failed is not None:
            ended, failures = self._window.add(now, failed=failed)
            if ended >= self._breaker.least and failures >= self._breaker.error_rate * ended:
                self._open(now, f"{failures} of {ended} attempts failed")

    def is_current(self, admitted: Admitted) -> bool:
        """Whether the state is still that in which the attempt was admitted."""
        return admitted.period == self._period

    def hold(self, now: float, jitter: float) -> Held:
        """Hold back an attempt that was admitted in an earlier state."""
        return self._hold(now, jitter)

    def describe(self, now: float) -> str | None:
        """Say what it does to the runs that come now. None: nothing, it is closed."""
        if self.state is BreakerState.CLOSED:
            return None
        if self.state is BreakerState.HALF_OPEN or now >= self._open_until:
            return f"{self._text()}; it waits for {self._breaker.probes} attempts to succeed"
        return f"{self._text()}; next try in {_rounded(self._open_until - now)}"

    def _hold(self, now: float, jitter: float, *, is_probe: bool = False) -> Held:
        again_in = max(0.0, self._open_until - now)
        if is_probe and self._chosen < self._breaker.probes:
            self._chosen += 1
        else:
            again_in += self._later(now) * (MARGIN + SPREAD * jitter)
        return Held(f"{self._text()}; next try in {_rounded(again_in)}", again_in)

    def _later(self, now: float) -> float:
        """The time of which a part passes until other runs are tried again.

        It grows while probes take long, because each further try is a version of the run.
        """
        if self.state is BreakerState.OPEN:
            return self._open_for
        waited = min(now - self._probing_since, self._breaker.open_seconds(LONGEST))
        return max(self._open_for, waited)

    def _is_full(self) -> bool:
        return self._probing + self._succeeded >= self._breaker.probes

    def _has_better_probes(self, now: float) -> bool:
        """Whether runs that have several attempts left should have come by now, or come soon."""
        return self._chosen > 0 and now < self._open_until + self._open_for

    def _text(self) -> str:
        return f"the circuit breaker of {self._step} is {self.state}: {self._why}"

    def _open(self, now: float, why: str) -> None:
        self._enter(BreakerState.OPEN)
        self._why = why
        self._openings += 1
        self._open_for = self._breaker.open_seconds(self._openings)
        self._open_until = now + self._open_for
        self._chosen = 0

    def _close(self) -> None:
        self._enter(BreakerState.CLOSED)
        self._openings = 0
        self._window.clear()

    def _enter(self, state: BreakerState) -> None:
        self.state = state
        self._period += 1
        self._probing = self._succeeded = 0


class _Window:
    """Counts the attempts that have ended in the last seconds, in slices."""

    def __init__(self, seconds: float) -> None:
        self._slice = seconds / SLICES
        self._slices = deque[list[int]]()  # [number, attempts, failed attempts], ascending

    def add(self, now: float, *, failed: bool) -> tuple[int, int]:
        """Count an attempt. Returns the attempts, and how many of them have failed."""
        number = int(now // self._slice)
        while self._slices and self._slices[0][0] <= number - SLICES:
            self._slices.popleft()
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append([number, 0, 0])
        self._slices[-1][1] += 1
        self._slices[-1][2] += failed
        return sum(one[1] for one in self._slices), sum(one[2] for one in self._slices)

    def clear(self) -> None:
        self._slices.clear()


def _rounded(seconds: float) -> str:
    return spelled(max(0.1, round(seconds, 1)) if seconds < 10 else round(seconds))
