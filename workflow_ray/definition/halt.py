"""What a step returns instead of a status. Halts are values: what isn't returned doesn't happen."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias, get_args

from workflow_ray.definition.arguments import checked_text, shown
from workflow_ray.definition.durations import Duration, seconds_of


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the run where it stands, its data saved.

    It takes no further step, and its foreign id is free again.
    """

    reason: str = ""

    def __post_init__(self) -> None:
        checked_text("the reason of Cancel", self.reason)


@dataclass(frozen=True, slots=True)
class Pause:
    """Save the data and hold the run at its status until somebody resumes it; then the step runs
    again.
    """

    reason: str = ""

    def __post_init__(self) -> None:
        checked_text("the reason of Pause", self.reason)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Save the data and run the step again, `after` at the earliest, in the same visit.

    Its idempotency key and timeouts stay; return the status itself to enter it again. A repeat
    is not a failed attempt.
    `after`: seconds, or a timedelta, from 0 to 100 years. Raises InvalidInput: it is neither.
    """

    after: Duration = timedelta(0)

    def __post_init__(self) -> None:
        seconds_of(f"Repeat(after={shown(self.after)})", self.after)


@dataclass(frozen=True, slots=True)
class Stay:
    """Save the data and let the run rest at its status until something else moves it."""


Halt: TypeAlias = Cancel | Pause | Repeat | Stay
HALTS: tuple[type[Halt], ...] = get_args(Halt)


class Fatal(Exception):
    """Raised by a step whose failure is not to be retried.

    Changes to the data are dropped, as with every exception.
    """
