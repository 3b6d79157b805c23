"""Checks of arguments: each raises InvalidInput, which names the argument, for a wrong value."""

import reprlib
from datetime import datetime
from typing import TypeGuard

from workflow_ray.errors import InvalidInput

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


def checked_text(what: str, text: object) -> str:
    """Return the text as a plain `str`. Raises InvalidInput if it is something else.

    Stores differ in how they write a subclass of `str`, such as an enum, and some can't.
    """
    if not isinstance(text, str):
        raise InvalidInput(what, f"it must be text, not {type(text).__name__}")
    return str.__str__(text)


def checked_flag(what: str, flag: object) -> bool:
    """Return the flag. Raises InvalidInput unless it is True or False."""
    if not isinstance(flag, bool):
        raise InvalidInput(what, f"it is True or False, not {shown(flag)}")
    return flag


def checked_count(what: str, count: object, *, least: int = 1) -> int:
    """Return the count. Raises InvalidInput unless it is a whole number from `least` up."""
    if type(count) is not int or count < least:
        raise InvalidInput(what, f"it is a whole number from {least} up, not {shown(count)}")
    return count


def checked_time(what: str, time: object) -> datetime:
    """Return the time. Raises InvalidInput unless it is a datetime with a timezone."""
    if not isinstance(time, datetime):
        raise InvalidInput(what, f"give a datetime, not {type(time).__name__}")
    if time.utcoffset() is None:
        raise InvalidInput(what, "it has no timezone; give one, e.g. datetime.now(UTC)")
    return time


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_count(value: object) -> TypeGuard[int]:
    """Whether the value is a whole number from 1 up."""
    return type(value) is int and value >= 1


def shown(value: object) -> str:
    """Format a wrong value for the text of an error, shortened."""
    try:
        return _SHORT.repr(value)
    except (
        Exception
    ):  # an int of over 4,300 digits can't be formatted, and a user's __repr__ may raise
        return f"a value of type {type(value).__name__}"
