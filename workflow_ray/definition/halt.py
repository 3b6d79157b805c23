"""Halts: what a step may return instead of a status. A halt that isn't returned has no effect."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias, get_args

from workflow_ray.definition.arguments import checked_text, shown
from workflow_ray.definition.durations import Duration, seconds_of


@dataclass(frozen=True, slots=True)
class Cancel:
    """Save the data and end the run as CANCELLED, at its status.

    Its foreign id is free again.
    """

    reason: str = ""

    def __post_init__(self) -> None:
        checked_text("the reason of Cancel", self.reason)


@dataclass(frozen=True, slots=True)
class Pause:
    """Save the data and pause the run at its status. When it is resumed, the step runs again."""

    reason: str = ""

    def __post_init__(self) -> None:
        checked_text("the reason of Pause", self.reason)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Save the data and run the step again, in the same visit, after a delay.

    The idempotency key and the timeouts stay as they are. To enter the status again, return the
    status itself. A repeat is not a failed attempt.

    Args:
        after: The delay, in seconds or as a timedelta, from 0 to 100 years.

    Raises:
        InvalidInput: `after` can't be used.
    """

    after: Duration = timedelta(0)

    def __post_init__(self) -> None:
        seconds_of(f"Repeat(after={shown(self.after)})", self.after)


@dataclass(frozen=True, slots=True)
class Stay:
    """Save the data and keep the run at its status until something else moves it."""


Halt: TypeAlias = Cancel | Pause | Repeat | Stay
HALTS: tuple[type[Halt], ...] = get_args(Halt)
MessageHalt: TypeAlias = Cancel | Pause | Stay
"""What a callback, a timeout or the function of a child may return. A repeat is one of a step."""
MESSAGE_HALTS: tuple[type[Halt], ...] = get_args(MessageHalt)


class Fatal(Exception):
    """Raise it in a step to fail without further attempts.

    Changes to the data are dropped, as with every exception.
    """
