"""Compares the data of two versions of a run, field by field."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeGuard

from workflow_ray.engine.visible import visible
from workflow_ray.records.encoded import opened, why_unreadable

WIDTH = 60
"""How many characters of a value are shown."""
_ABSENT = object()


class Unreadable(Exception):
    """The data can't be read. The text says why, and how large the data is, if that is known."""


@dataclass(frozen=True)
class Change:
    """A field that differs between two versions."""

    path: str  # e.g. lines[2].price; "" for data that is not an object
    before: object = _ABSENT
    after: object = _ABSENT

    def __str__(self) -> str:
        name = f"{self.path}: " if self.path else ""
        if self.before is _ABSENT:
            return f"+ {name}{shown(self.after)}"
        if self.after is _ABSENT:
            return f"- {name}{shown(self.before)}"
        return f"  {name}{shown(self.before)} -> {shown(self.after)}"


def parsed(data: bytes) -> object:
    """Read stored data. Raises Unreadable."""
    if why := why_unreadable(data):
        # what stands for data that could not be decoded has a size of its own
        size = "data" if opened(data) is None else f"{len(data):,} bytes"
        raise Unreadable(f"{size} that can't be read: {why}")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Unreadable(f"{len(data):,} bytes that can't be read: {why}") from None


def changes(before: object, after: object) -> Iterator[Change]:
    """Compare two versions of the data. The changes come in the order of the later version.

    Args:
        before: What `parsed` returned for the earlier version; an empty object for the first one.
        after: The same of the later version.
    """
    return _changes("", before, after)


def shown(value: object) -> str:
    """Format a value as JSON on one line. A long value is cut, and its size is added."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= WIDTH:
        return visible(text)
    return f"{visible(text[:WIDTH])}... ({len(text.encode(errors='replace')):,} bytes)"


def _changes(path: str, before: object, after: object) -> Iterator[Change]:
    if _is_object(before) and _is_object(after):
        yield from _of_objects(path, before, after)
    elif _is_list(before) and _is_list(after):
        for at, (old, new) in enumerate(zip_longest(before, after, fillvalue=_ABSENT)):
            yield from _of_values(f"{path}[{at}]", old, new)
    elif not _is_same(before, after):
        yield Change(path, before, after)


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _of_objects(path: str, before: dict[str, object], after: dict[str, object]) -> Iterator[Change]:
    for name in [*after, *(name for name in before if name not in after)]:
        below = f"{path}.{_name(name)}" if path else _name(name)
        yield from _of_values(below, before.get(name, _ABSENT), after.get(name, _ABSENT))


def _of_values(path: str, before: object, after: object) -> Iterator[Change]:
    if before is _ABSENT or after is _ABSENT:
        yield Change(path, before, after)
    else:
        yield from _changes(path, before, after)


def _name(field: str) -> str:
    """Format a field's name for a path. It is quoted unless it is a plain name."""
    return field if field.isidentifier() else visible(json.dumps(field, ensure_ascii=False))


def _is_same(before: Any, after: Any) -> bool:
    """Say whether two values are the same. 1 differs from true and from 1.0; NaN equals NaN."""
    if type(before) is not type(after):
        return False
    both_nan = isinstance(before, float) and math.isnan(before) and math.isnan(after)
    return both_nan or before == after
