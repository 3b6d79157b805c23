"""When a step that failed is tried again."""

import math
import zlib
from dataclasses import dataclass
from datetime import timedelta

from workflow_ray.definition.arguments import is_count, is_number, shown
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and how long apart: `backoff` after the first failure, times
    `factor` after each further one.

    attempts: runs of the step in one visit, the first included; 1: no retry.
    max_backoff: no delay is longer, unless `backoff` itself is. Both are seconds or timedeltas,
        from 0 to 100 years. Raises InvalidInput, naming the argument, for values that make no
        sense.
    """

    attempts: int = 3
    backoff: Duration = timedelta(seconds=1)
    factor: float = 2.0
    max_backoff: Duration = timedelta(minutes=5)

    def __post_init__(self) -> None:
        if not is_count(self.attempts):
            raise InvalidInput(
                f"Retry(attempts={shown(self.attempts)})",
                "a step is tried at least once; attempts=1 means no retry.",
            )
        seconds_of(f"Retry(backoff={shown(self.backoff)})", self.backoff)
        seconds_of(f"Retry(max_backoff={shown(self.max_backoff)})", self.max_backoff)
        if not is_number(self.factor) or not 1 <= self.factor < math.inf:
            raise InvalidInput(
                f"Retry(factor={shown(self.factor)})",
                "delays can't shrink or be endless; factor=1 keeps them the same.",
            )

    def delay(self, run_id: str, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt`, from 1.

        Half to all of the exponential delay. The jitter comes from its arguments, so that whoever
        repeats a write that got lost asks for the same delay again.
        """
        jitter = zlib.crc32(f"{run_id}:{attempt}".encode()) / 2**32
        return self._full(attempt) * (0.5 + jitter / 2)

    def _full(self, attempt: int) -> float:
        first = seconds_of("backoff", self.backoff)
        longest = max(seconds_of("max_backoff", self.max_backoff), first)
        try:
            return min(first * self.factor ** (attempt - 1), longest)
        except OverflowError:  # a float's range ends before the attempts do
            return longest if first else 0.0


DEFAULT_RETRY = Retry()
