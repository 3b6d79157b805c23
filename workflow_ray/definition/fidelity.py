"""The comparison of data with what it reads back as."""

import dataclasses
import math
from collections import deque
from collections.abc import Container, Iterable, Mapping, Set
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

SECRETS = (Secret, SecretStr, SecretBytes)
SEQUENCES = (list, tuple, deque)
"""A value of one of these types never equals a value of another one."""
DEEPEST = 500
"""The levels of nesting that are compared. pydantic reads fewer levels of JSON."""


class Difference(NamedTuple):
    """Where and why two values differ, without the values, which may be personal."""

    path: str  # from field to field, e.g. items.0.price
    why: str


def difference(written: object, read: object) -> Difference | None:
    """Find the first difference between a value and what it reads back as. None if they are equal.

    Equal values of different types, such as 1 and 1.0, do not differ, but models and dataclasses of
    different classes do. NaN equals NaN. Private attributes, and which fields were set, don't
    count.
    """
    found = _compare(written, read, DEEPEST)
    return None if found is None else Difference(".".join(found.path) or "the whole", found.why)


class _Found(NamedTuple):
    path: deque[str]
    why: str


def _compare(written: Any, read: Any, depth: int) -> _Found | None:
    if depth == 0:
        return _Found(deque(), "it is nested too deeply")
    if _is_a(written, BaseModel):
        return _compare_models(written, read, depth)
    if _is_a(written, dict):
        return _compare_mappings(written, read, depth)
    if _is_a(written, *SEQUENCES):
        return _compare_sequences(written, read, depth)
    if hasattr(written, "__dataclass_fields__"):
        return _compare_dataclasses(written, read, depth)
    if _is_a(written, Mapping, Set) or not _is_same(written, read):
        return _compare_others(written, read, depth)
    return None


def _compare_models(written: BaseModel, read: Any, depth: int) -> _Found | None:
    if type(written) is not type(read):
        return _Found(deque(), _other_class(written, read))
    ours, theirs, fields = written.__dict__, read.__dict__, type(written).model_fields
    found = _compare_named(
        ((name, ours.get(name), theirs.get(name)) for name in fields), depth
    ) or _stray(written, read, fields)
    if found is None and (written.__pydantic_extra__ or read.__pydantic_extra__):
        return _compare_mappings(
            written.__pydantic_extra__ or {}, read.__pydantic_extra__ or {}, depth
        )
    return found


def _compare_dataclasses(written: Any, read: Any, depth: int) -> _Found | None:
    if type(written) is not type(read):
        return _Found(deque(), _other_class(written, read))
    names = [field.name for field in dataclasses.fields(written)]
    return _compare_named(
        ((name, getattr(written, name, None), getattr(read, name, None)) for name in names), depth
    ) or _stray(written, read, names)


def _stray(written: object, read: object, fields: Container[str]) -> _Found | None:
    """An attribute beside the fields that is not read back, as a mistyped name in `model_copy`
    leaves it. What the class itself computes and keeps, such as a cached property, is not data.
    """
    cls = type(written)
    known: dict[str, Any] = getattr(read, "__dict__", {})
    for name in getattr(written, "__dict__", {}):
        if name not in fields and name not in known and not hasattr(cls, name):
            return _Found(deque([name]), f"{cls.__name__} has no such field")
    return None


def _compare_mappings(written: Mapping[Any, Any], read: Any, depth: int) -> _Found | None:
    if not _is_a(read, Mapping) or written.keys() != read.keys():
        return _Found(deque(), "it reads back with other keys")
    return _compare_named(((str(key), value, read[key]) for key, value in written.items()), depth)


def _compare_sequences(written: Any, read: Any, depth: int) -> _Found | None:
    if _sequence_of(read) is not _sequence_of(written):
        return _Found(deque(), _reason(written, read))
    if len(written) != len(read):
        return _Found(deque(), "it reads back with other items")
    return _compare_named(
        ((str(at), one, other) for at, (one, other) in enumerate(zip(written, read, strict=True))),
        depth,
    )


def _sequence_of(value: object) -> type | None:
    """The built-in sequence type of the value. None if it is not a sequence."""
    return next((kind for kind in SEQUENCES if isinstance(value, kind)), None)


def _compare_named(parts: Iterable[tuple[str, Any, Any]], depth: int) -> _Found | None:
    for name, one, other in parts:
        if (found := _compare(one, other, depth - 1)) is not None:
            found.path.appendleft(name)
            return found
    return None


def _compare_others(written: Any, read: Any, depth: int) -> _Found | None:
    if _is_a(written, Mapping):
        return _compare_mappings(written, read, depth)
    if (
        _is_a(written, Set)
        and _is_a(read, Set)
        and len(written) == len(read)
        and all(one in read for one in written)
    ):
        return None
    return _Found(deque(), _reason(written, read))


def _is_a(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds)


def _is_same(written: Any, read: Any) -> bool:
    try:
        return (
            bool(written == read)
            or _are_nan(written, read)
            or (_is_a(written, datetime) and _are_one_moment(written, read))
        )
    except Exception:  # a user's __eq__ may raise anything
        return False


def _are_nan(written: Any, read: Any) -> bool:
    """Whether both are NaN, as a float or a Decimal can be."""
    return bool(written != written and read != read) and isinstance(written, type(read))


def _are_one_moment(written: datetime, read: datetime) -> bool:
    """Whether both are one moment. `==` is False for a time that a zone has twice, or skips."""
    return read.utcoffset() == written.utcoffset() is not None and (
        read.replace(tzinfo=None) == written.replace(tzinfo=None)
    )


def _other_class(written: object, read: object) -> str:
    here, there = type(written).__name__, type(read).__name__
    way_out = "Type the field so that it says which, e.g. as a union with a discriminator"
    return f"it is a {here} and reads back as a {there}. {way_out}"


def flaw_at(data: object, path: Iterable[int | str]) -> str | None:
    """Why the value at this path can't be stored. None if no reason is known."""
    value: Any = data
    for part in path:
        try:
            value = getattr(value, str(part)) if isinstance(value, BaseModel) else value[part]
        except (AttributeError, LookupError, TypeError):
            return None
    return _flaw(value)


def _flaw(written: object) -> str | None:
    if isinstance(written, SECRETS):
        return (
            "a secret is written as asterisks. Leave it out of the data, or give the field a"
            " serializer that reveals it"
        )
    if isinstance(written, float) and not math.isfinite(written):
        return (
            "JSON has no NaN and no infinity. Set ser_json_inf_nan='strings' in the model's config"
        )
    if isinstance(written, (bytes, bytearray)):
        return (
            "it reads back as other bytes. Set ser_json_bytes and val_json_bytes to the same in the"
            " model's config"
        )
    return None


def _reason(written: object, read: object) -> str:
    if flaw := _flaw(written):
        return flaw
    if type(written) is type(read):
        return (
            f"it reads back as another {type(written).__name__}. Its serializer and its validator"
            " must undo each other"
        )
    return (
        f"it is of type {type(written).__name__} and reads back as {type(read).__name__}. Make the"
        " field's type exact"
    )
