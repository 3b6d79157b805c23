"""Models whose data reads back equal, as can be shown without reading it back.

A field of a simple type, without validator or serializer, writes each value of exactly that type
as JSON of its own; there are few exceptions, such as NaN. A guard checks that data has only such
values, within the bounds and lengths that the field allows. That takes a tenth of the time that it
takes to read the data back and to compare. Models with other types (unions, validators, recursion)
have no guard.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from operator import ge, gt, le, lt
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel

Schema: TypeAlias = Mapping[str, Any]
"""A schema of pydantic's core."""
Guard: TypeAlias = Callable[[Any], bool]
"""Tells whether a value reads back equal. False means that it may not."""
Constraint: TypeAlias = Callable[[Any, Any], bool]
"""Tells whether a value holds a limit."""

HARMLESS = frozenset(
    {
        "extra_fields_behavior",
        "frozen",
        "from_attributes",
        "loc_by_alias",
        "title",
        "validate_by_alias",
        "validate_by_name",
    }
)
"""The settings of a model that don't change how values are written or read."""
FIELD = frozenset(
    {
        "frozen",
        "metadata",
        "schema",
        "serialization_alias",
        "serialization_exclude",
        "type",
        "validation_alias",
    }
)
"""The keys of a field's schema that a guard allows. Others may exclude the field for some data."""
BOUNDS: Mapping[str, Constraint] = {"ge": ge, "gt": gt, "le": le, "lt": lt}
"""Constraints of a value."""
LENGTHS: Mapping[str, Constraint] = {
    "max_length": lambda value, most: len(value) <= most,
    "min_length": lambda value, least: len(value) >= least,
}
"""Constraints of a value's length."""
MINUTE = timedelta(minutes=1)


def guard_of(model: type[BaseModel]) -> Guard | None:
    """Make the guard of a model's data. None if its data must be read back.

    A guard does not find numbers of more than 4,300 digits, which can't be read.
    """
    return _of_model(model.__pydantic_core_schema__)


def _guard(schema: Schema) -> Guard | None:
    if "serialization" in schema:
        return None
    make = GUARDS.get(schema["type"])
    return None if make is None else make(schema)


# --- models -------------------------------------------------------------------------------------


def _of_model(schema: Schema) -> Guard | None:
    known = {"cls", "config", "custom_init", "generic_origin", "root_model", "schema"}
    if (
        schema["type"] != "model"
        or not _has_only(schema, known)
        or schema.get("custom_init")
        or schema.get("root_model")
    ):
        return None
    config, inner = schema.get("config", {}), schema["schema"]
    if config.keys() - HARMLESS or config.get("extra_fields_behavior") == "allow":
        return None
    if inner["type"] != "model-fields" or inner.get("computed_fields") or "extras_schema" in inner:
        return None
    guards: list[tuple[str, Guard]] = []
    for name, field in inner["fields"].items():
        is_written = not field.keys() - FIELD and not field.get("serialization_exclude")
        guard = _guard(field["schema"]) if is_written else None
        if guard is None:
            return None
        guards.append((name, guard))
    return _model_guard(schema["cls"], guards)


def _model_guard(cls: type, guards: list[tuple[str, Guard]]) -> Guard:
    def guard(value: Any) -> bool:
        if type(value) is not cls:  # a subclass loses its own fields
            return False
        values = value.__dict__
        # it was made without validation, or has attributes beside its fields
        if len(values) != len(guards):
            return False
        for name, holds in guards:  # noqa: SIM110  `all` with a generator takes twice as long
            if name not in values or not holds(values[name]):
                return False
        return True

    return guard


# --- what models are made of --------------------------------------------------------------------


def _of_default(schema: Schema) -> Guard | None:
    return _guard(schema["schema"])


def _of_nullable(schema: Schema) -> Guard | None:
    guard = _guard(schema["schema"])
    return guard and (lambda value: value is None or guard(value))


def _of_list(schema: Schema) -> Guard | None:
    if not _has_only(schema, {"items_schema", *LENGTHS}) or "items_schema" not in schema:
        return None
    guard = _guard(schema["items_schema"])
    return guard and _constrained(
        lambda value: _is_exactly(value, list) and all(map(guard, value)), schema
    )


def _of_dict(schema: Schema) -> Guard | None:
    if (
        not _has_only(schema, {"keys_schema", "values_schema", *LENGTHS})
        or not {"keys_schema", "values_schema"} <= schema.keys()
    ):
        return None
    values = (
        _guard(schema["values_schema"])
        if schema["keys_schema"].keys() <= {"metadata", "type"}
        else None
    )
    if values is None or schema["keys_schema"]["type"] != "str":
        return None
    return _constrained(
        lambda value: (
            _is_exactly(value, dict)
            and all(map(_is_ascii, value))
            and all(map(values, value.values()))
        ),
        schema,
    )


def _of_enum(schema: Schema) -> Guard | None:
    members: list[Enum] = schema["members"]
    is_simple = {type(member.value) for member in members} in ({str}, {int}) and _has_only(
        schema, {"cls", "members", "sub_type"}
    )
    return _of_type(schema["cls"]) if is_simple else None


def _of_literal(schema: Schema) -> Guard | None:
    expected: list[object] = schema["expected"]
    if not _has_only(schema, {"expected"}) or {*map(type, expected)} - {str, int}:
        return None
    values = {(type(value), value) for value in expected}
    return lambda value: type(value) in (str, int) and (type(value), value) in values


def _of_datetime(schema: Schema) -> Guard | None:
    return _is_writable if _has_only(schema, {"microseconds_precision"}) else None


def _is_writable(value: Any) -> bool:
    """Whether it is a time whose offset from UTC has whole minutes. JSON can't hold others."""
    return type(value) is datetime and not (value.utcoffset() or timedelta()) % MINUTE


def _is_ascii(key: Any) -> bool:
    """Whether pydantic writes the key as it is. It replaces characters that aren't Unicode."""
    return type(key) is str and key.isascii()


def _is_number(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _is_finite_decimal(value: Any) -> bool:
    return type(value) is Decimal and value.is_finite()


def _of_type(cls: type) -> Guard:
    return lambda value: type(value) is cls


def _is_exactly(value: Any, cls: type) -> bool:
    return type(value) is cls


def _plain(guard: Guard) -> Callable[[Schema], Guard | None]:
    return lambda schema: guard if _has_only(schema, set()) else None


def _bounded(guard: Guard) -> Callable[[Schema], Guard | None]:
    return lambda schema: _constrained(guard, schema) if _has_only(schema, {*BOUNDS}) else None


def _of_str(schema: Schema) -> Guard | None:
    return _constrained(_of_type(str), schema) if _has_only(schema, {*LENGTHS}) else None


def _constrained(guard: Guard, schema: Schema) -> Guard:
    """Return the guard of the values that also hold the constraints of the schema."""
    for name, holds in {**BOUNDS, **LENGTHS}.items():
        if name in schema:
            guard = _also(guard, holds, schema[name])
    return guard


def _also(guard: Guard, holds: Constraint, limit: object) -> Guard:
    return lambda value: guard(value) and holds(value, limit)


def _has_only(schema: Schema, keys: set[str]) -> bool:
    return schema.keys() <= keys | {"metadata", "ref", "type"}


GUARDS: Mapping[str, Callable[[Schema], Guard | None]] = {
    "bool": _plain(_of_type(bool)),
    "date": _plain(_of_type(date)),
    "datetime": _of_datetime,
    "decimal": _bounded(_is_finite_decimal),
    "default": _of_default,
    "dict": _of_dict,
    "enum": _of_enum,
    "float": _bounded(_is_number),
    "int": _bounded(_of_type(int)),
    "list": _of_list,
    "literal": _of_literal,
    "model": _of_model,
    "none": _plain(_of_type(type(None))),
    "nullable": _of_nullable,
    "str": _of_str,
    "uuid": _plain(_of_type(UUID)),
}
