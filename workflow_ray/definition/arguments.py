"""Checks of what callers hand in: each refuses a wrong value at once, and names the argument."""

from datetime import datetime

from workflow_ray.definition.durations import is_count
from workflow_ray.errors import InvalidInput


def checked_text(what: str, text: object) -> str:
    """A text. Raises InvalidInput."""
    if not isinstance(text, str):
        raise InvalidInput(what, f"it must be text, not {type(text).__name__}")
    return text


def checked_flag(what: str, flag: object) -> bool:
    """True or False. Raises InvalidInput."""
    if not isinstance(flag, bool):
        raise InvalidInput(what, f"it is True or False, not {flag!r}")
    return flag


def checked_count(what: str, count: object) -> int:
    """A whole number from 1 up. Raises InvalidInput."""
    if not is_count(count):
        raise InvalidInput(what, f"it is a whole number from 1 up, not {count!r}")
    return count


def checked_time(what: str, time: object) -> datetime:
    """A time with a timezone. Raises InvalidInput."""
    if not isinstance(time, datetime):
        raise InvalidInput(what, f"give a datetime, not {type(time).__name__}")
    if time.tzinfo is None:
        raise InvalidInput(what, "it has no timezone; give one, e.g. datetime.now(UTC)")
    return time
