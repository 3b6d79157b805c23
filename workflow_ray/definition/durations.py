"""Durations, given as seconds or as a timedelta."""

import math
from datetime import timedelta
from typing import TypeAlias

from workflow_ray.definition.arguments import is_number, shown
from workflow_ray.errors import InvalidInput

Duration: TypeAlias = timedelta | float
"""A timedelta, or seconds as int or float."""
LONGEST = 100 * 365 * 86_400.0
"""Seconds. After a longer time, the end may be a date that databases can't store."""

UNITS = {"d": 86_400, "h": 3600, "min": 60}


def seconds_of(what: str, given: object) -> float:
    """Convert a duration to seconds, from 0 to 100 years.

    Args:
        what: The argument's name, for the error.
        given: A timedelta, or seconds.

    Raises:
        InvalidInput: It is neither, or out of range.
    """
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif is_number(given):
        seconds = _as_float(given)
    else:
        raise InvalidInput(what, f"give seconds or a timedelta, not {type(given).__name__}")
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise InvalidInput(what, f"it is from 0 seconds to 100 years, not {shown(given)}")
    return seconds


def duration_mistake(given: object) -> str | None:
    """Why `seconds_of` refuses the duration. None if it does not."""
    try:
        seconds_of("", given)
    except InvalidInput as error:
        return error.why
    return None


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an int may be of any size
        return math.inf


def spelled(seconds: float) -> str:
    """Write a duration for people: "2 d", "1 h 30 min", "0.5 s"."""
    rest = round(seconds, 3)
    parts: list[str] = []
    for unit, size in UNITS.items():
        number = int(rest // size)
        if number:
            parts.append(f"{number:,} {unit}")
            rest = round(rest - number * size, 3)
    if rest or not parts:
        parts.append(f"{rest:g} s")
    return " ".join(parts)
