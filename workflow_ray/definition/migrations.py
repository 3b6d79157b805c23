"""Migrations: they convert stored data of an earlier version to the version of the code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from pydantic_core import from_json, to_json

JsonObject: TypeAlias = dict[str, Any]
"""Data as it is stored: what `json.loads` makes of it."""
MigrationFunction: TypeAlias = Callable[[JsonObject], JsonObject]


class NotMigrated(ValueError):
    """Data of an earlier version can't be converted. The text says why, without the data."""


class NewerVersion(ValueError):
    """The data was written by newer code. The text names both versions."""

    def __init__(self, stored: int, known: int) -> None:
        super().__init__(f"it is of version {stored}, and this code knows version {known}")
        self.stored = stored
        self.known = known


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Converts data of one version to the next one."""

    version: int  # the earlier one
    function: MigrationFunction
    name: str
    where: str  # file:line


def migrated(data: bytes, version: int, current: int, migrations: Mapping[int, Migration]) -> bytes:
    """Convert stored JSON to the current version.

    Args:
        data: The JSON.
        version: Its version.
        current: The version of the code.
        migrations: By the version that they take. None is missing.

    Raises:
        NewerVersion: The data is of a later version.
        NotMigrated: A migration has raised, or has returned what is not a JSON object.
    """
    if version > current:
        raise NewerVersion(version, current)
    try:
        value = from_json(data)
    except ValueError:  # it was deleted, for example
        raise NotMigrated(f"{len(data)} bytes of version {version} are not JSON") from None
    for number in range(version, current):
        value = _applied(migrations[number], value)
    try:
        return to_json(value, inf_nan_mode="constants")
    except Exception as error:  # it may hold anything
        last = _named(migrations[current - 1])
        why = f"{last} returned what can't be written as JSON ({type(error).__name__})"
        raise NotMigrated(why) from None


def _applied(migration: Migration, value: object) -> JsonObject:
    try:
        result = cast(object, migration.function(cast(JsonObject, value)))
    except KeyboardInterrupt:  # of the process
        raise
    except BaseException as error:  # it is user code, and its text may show the data
        what = f"{type(error).__name__}{_line_of(error)}"
        raise NotMigrated(f"{_named(migration)} raised {what}") from None
    if not isinstance(result, dict):
        what = f"a value of type {type(result).__name__}, not a dict"
        raise NotMigrated(f"{_named(migration)} returned {what}")
    return cast(JsonObject, result)


def _named(migration: Migration) -> str:
    return f"the migration {migration.name} from version {migration.version} ({migration.where})"


def _line_of(error: BaseException) -> str:
    """Say where the user's code raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" in line {trace.tb_lineno}"
