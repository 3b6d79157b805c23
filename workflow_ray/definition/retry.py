"""Retries: how often a failed function is called again, after which delays, and which errors end it
at once.
"""

import math
import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflow_ray.definition.arguments import is_count, is_number, shown
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried in one visit, and the delays between the attempts.

    Args:
        attempts: The attempts, the first included. 1 means no retry.
        backoff: The delay after the first failure, in seconds or as a timedelta, from 0 to 100
            years.
        factor: Multiplies the delay after each further failure. From 1 up.
        max_backoff: The longest delay, unless `backoff` itself is longer.
        fatal: Types of exceptions after which no attempt follows, as if the function had raised
            Fatal; their subclasses too. A group of exceptions counts if one of them does. An
            attempt that exceeds its time limit raises nothing, so it is always retried.

    Raises:
        InvalidInput: An argument can't be used.
    """

    attempts: int = 3
    backoff: Duration = timedelta(seconds=1)
    factor: float = 2.0
    max_backoff: Duration = timedelta(minutes=5)
    fatal: tuple[type[Exception], ...] = ()

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
        _check_fatal(self.fatal)

    def delay(self, run_id: str, attempt: int) -> float:
        """The seconds from a failed attempt to the next, with jitter: half to all of the delay.

        The jitter is computed from the arguments, so that a repeated write has the same delay.

        Args:
            run_id: The run.
            attempt: The number of the failed attempt, from 1.
        """
        jitter = zlib.crc32(f"{run_id}:{attempt}".encode()) / 2**32
        return self._full(attempt) * (0.5 + jitter / 2)

    def _full(self, attempt: int) -> float:
        first = seconds_of("backoff", self.backoff)
        longest = max(seconds_of("max_backoff", self.max_backoff), first)
        try:
            return min(first * float(self.factor) ** (attempt - 1), longest)
        except OverflowError:  # the power exceeds the range of a float
            return longest if first else 0.0


def _check_fatal(fatal: Any) -> None:
    """Raise InvalidInput unless it is a tuple of types of Exception."""
    if not _is_tuple(fatal):
        raise InvalidInput(
            f"Retry(fatal={shown(fatal)})",
            "give a tuple of exception types, e.g. fatal=(ValueError,).",
        )
    for kind in fatal:
        if not _is_error_type(kind):
            raise InvalidInput(
                f"Retry(fatal={shown(fatal)})",
                f"{shown(kind)} is not a type of Exception; name types that your code raises as"
                " errors, e.g. fatal=(ValueError,).",
            )


def _is_error_type(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _is_tuple(value: object) -> bool:
    return isinstance(value, tuple)


DEFAULT_RETRY = Retry()
