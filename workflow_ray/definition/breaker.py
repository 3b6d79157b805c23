"""Circuit breakers: when a step whose attempts fail holds its runs back for a while."""

from dataclasses import dataclass
from datetime import timedelta

from workflow_ray.definition.arguments import is_count, is_number, shown
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput

SHORTEST = 0.1
"""The shortest `window` and `open_for`, in seconds."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a step holds its runs back, because what it needs does not work.

    While the breaker is open, no attempt is made and none is counted: runs that come to the step
    are tried again later. Then it lets a few attempts through, the probes. If all of them succeed,
    it closes; if one fails, it opens again. An attempt that exceeds its time limit has failed. One
    that ends by a fatal error (Fatal, or `Retry(fatal=...)`) counts neither as failed nor as
    successful, because such an error tells something about the run, and not about what the step
    needs.

    Each shard of the step has a breaker of its own. Its state is in memory: a role that starts
    begins with a closed one.

    Args:
        error_rate: The breaker opens when this share of the attempts in the window have failed.
            Above 0, up to 1.
        window: The attempts that have ended within this time are counted, in seconds or as a
            timedelta, from 0.1 seconds to 100 years.
        least: The breaker does not open before so many attempts of the window have ended. From 1
            up.
        open_for: How long the breaker stays open before the probes. It doubles each time that the
            probes fail.
        max_open_for: The longest time that it stays open, unless `open_for` itself is longer.
        probes: The attempts that are made at once to find out whether the step works again, and
            that all have to succeed. From 1 up.

    Raises:
        InvalidInput: An argument can't be used.
    """

    error_rate: float = 0.5
    window: Duration = timedelta(seconds=30)
    least: int = 20
    open_for: Duration = timedelta(seconds=30)
    max_open_for: Duration = timedelta(minutes=5)
    probes: int = 3

    def __post_init__(self) -> None:
        if not is_number(self.error_rate) or not 0 < self.error_rate <= 1:
            raise InvalidInput(
                f"Breaker(error_rate={shown(self.error_rate)})",
                "it is a share of the attempts: above 0, and up to 1.",
            )
        for name, count in (("least", self.least), ("probes", self.probes)):
            if not is_count(count):
                raise InvalidInput(
                    f"Breaker({name}={shown(count)})", "give a whole number from 1 up."
                )
        seconds_of(f"Breaker(max_open_for={shown(self.max_open_for)})", self.max_open_for)
        for name, given in (("window", self.window), ("open_for", self.open_for)):
            what = f"Breaker({name}={shown(given)})"
            if seconds_of(what, given) < SHORTEST:
                raise InvalidInput(what, f"give {SHORTEST} seconds or more.")

    def open_seconds(self, openings: int) -> float:
        """The seconds that the breaker stays open.

        Args:
            openings: How often in a row it has opened, from 1.
        """
        first = seconds_of("open_for", self.open_for)
        longest = max(seconds_of("max_open_for", self.max_open_for), first)
        return min(first * 2.0 ** min(openings - 1, 63), longest)
