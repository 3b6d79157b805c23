"""Flow control: which of the runs that have entered a status may take its step now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeGuard, TypeVar

from workflow_ray.definition.arguments import is_count, shown
from workflow_ray.definition.callables import is_async
from workflow_ray.definition.durations import Duration, duration_mistake, seconds_of
from workflow_ray.definition.run import D, Run, S
from workflow_ray.errors import InvalidInput
from workflow_ray.records import FlowLimits
from workflow_ray.records import Rate as StoredRate

T = TypeVar("T")

MOST_RUNS = 2**31 - 1
"""The largest limit. A deployment with a number of more than 64 bits could not be sent."""
LEFT_OUT = "leave it out for no limit"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` runs in any period of the length `per`.

    Args:
        count: The runs, from 1 to 2,147,483,647. They may all be admitted at once.
        per: The length of the period, in seconds or as a timedelta, above 0 and up to 100 years.

    Raises:
        InvalidInput: An argument can't be used.
    """

    count: int
    per: Duration

    def __post_init__(self) -> None:
        if not _is_limit(self.count):
            raise InvalidInput(
                f"Rate(count={shown(self.count)})",
                f"give a whole number of runs from 1 up to {MOST_RUNS:,}",
            )
        if why := duration_mistake(self.per) or _too_short(self.per):
            raise InvalidInput(f"Rate(per={shown(self.per)})", why)

    @property
    def stored(self) -> StoredRate:
        """The rate as it is stored."""
        return StoredRate(count=self.count, seconds=seconds_of("per", self.per))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControl(Generic[D, S]):
    """Limits how many runs take a step at a time, and how many begin it in a period.

    A run that enters the status is parked until it is admitted. It holds a slot from then until it
    leaves the status, ends or is paused: also between its attempts, and while it stays.

    Keys are admitted in turn, so that a key with many runs does not delay the others. Of the runs
    of one key the one with the largest priority is next, then the oldest one.

    Args:
        concurrency: The most runs that hold a slot, from 1 to 2,147,483,647. None: no limit.
        concurrency_per_key: The most runs of one key that hold a slot, as `concurrency`. None: no
            limit.
        rate: The most runs that are admitted in a period. None: no limit.
        rate_per_key: The most runs of one key that are admitted in a period. None: no limit.
        key: Called with a run that enters the status. Returns its key, up to 255 characters, for
            example the tenant's name. None: all runs have the same key.
        priority: Called with a run that enters the status. Returns a whole number of 32 bits. None:
            all runs have the priority 0.

    Raises:
        InvalidInput: An argument can't be used.
    """

    concurrency: int | None = None
    concurrency_per_key: int | None = None
    rate: Rate | None = None
    rate_per_key: Rate | None = None
    key: Callable[[Run[D, S]], str] | None = None
    priority: Callable[[Run[D, S]], int] | None = None

    def __post_init__(self) -> None:
        limits = self.limits  # its arguments are checked
        _check_function("key", self.key)
        _check_function("priority", self.priority)
        if self.key is None and (name := limit_per_key(limits)):
            raise InvalidInput(
                f"FlowControl({name}=...)",
                "a limit per key needs keys; give key=, e.g. key=lambda run: run.data.tenant",
            )

    @property
    def limits(self) -> FlowLimits:
        """The limits as they are stored."""
        return FlowLimits(
            concurrency=checked_limit("FlowControl", "concurrency", self.concurrency),
            concurrency_per_key=checked_limit(
                "FlowControl", "concurrency_per_key", self.concurrency_per_key
            ),
            rate=checked_rate("FlowControl", "rate", self.rate),
            rate_per_key=checked_rate("FlowControl", "rate_per_key", self.rate_per_key),
        )


def limit_per_key(limits: FlowLimits) -> str | None:
    """The name of a limit per key that is set. None: there is none."""
    if limits.concurrency_per_key is not None:
        return "concurrency_per_key"
    return None if limits.rate_per_key is None else "rate_per_key"


def checked_limit(where: str, name: str, limit: object, no_limit: str = LEFT_OUT) -> int | None:
    """Return a limit of runs. `no_limit`: what to do for none. Raises InvalidInput."""
    if limit is None or _is_limit(limit):
        return limit
    why = f"give a whole number of runs from 1 up to {MOST_RUNS:,}, or {no_limit}"
    raise InvalidInput(f"{where}({name}={shown(limit)})", why)


def checked_rate(
    where: str, name: str, rate: object, no_limit: str = LEFT_OUT
) -> StoredRate | None:
    """Return a rate as it is stored. `no_limit`: what to do for none. Raises InvalidInput."""
    if rate is None:
        return None
    if not isinstance(rate, Rate):
        why = f"use Rate(...), e.g. Rate(10, per=60), or {no_limit}"
        raise InvalidInput(f"{where}({name}={shown(rate)})", why)
    return rate.stored


def _is_limit(value: object) -> TypeGuard[int]:
    return is_count(value) and value <= MOST_RUNS


def _check_function(name: str, function: object) -> None:
    if function is None:
        return
    if not callable(function):
        why = f"give a function of the run, e.g. {name}=lambda run: run.data.{name}"
    elif is_async(function):
        why = "it can't be an async function; give a plain one, which does not wait"
    else:
        return
    raise InvalidInput(f"FlowControl({name}={shown(function)})", why)


def _too_short(per: Any) -> str | None:
    return None if seconds_of("per", per) > 0 else "a period needs some time; give more than 0"
