"""Assertions on the history of a run."""

from collections.abc import Iterable, Sequence
from difflib import ndiff
from typing import Any, TypeVar, cast, overload

from pydantic import BaseModel

from workflow_ray.client import Entry, Handle
from workflow_ray.definition import Status
from workflow_ray.definition.arguments import shown
from workflow_ray.errors import InvalidInput
from workflow_ray.records import Cause

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


@overload
async def assert_history(handle: Handle[D, S], expected: Sequence[S]) -> None: ...
@overload
async def assert_history(handle: Handle[D, S], expected: Sequence[tuple[S, Cause]]) -> None: ...
async def assert_history(
    handle: Handle[D, S], expected: Sequence[S] | Sequence[tuple[S, Cause]]
) -> None:
    """Assert where a run has been.

    Args:
        handle: The run's.
        expected: Statuses: where the run has been, in order. Versions in a row at one status, such
            as those of retries, are one. Or a status and a cause for each version, from the first
            to the last one.

    Raises:
        AssertionError: The history differs. The text shows where, and the whole history.
        InvalidInput: `expected` is neither of the two.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    given = _checked(expected)
    entries = [entry for entry in await handle.history() if entry.callback is None]
    is_exact = bool(given) and isinstance(given[0], tuple)
    wanted = [_line(*one) if isinstance(one, tuple) else one.name for one in given]
    found = (
        [_line(entry.status, entry.cause) for entry in entries] if is_exact else _visited(entries)
    )
    if found != wanted:
        raise AssertionError(_difference(wanted, found, entries))


def _line(status: Status, cause: Cause) -> str:
    return f"{status.name} {cause.name}"


def _visited(entries: Iterable[Entry[Any, Any]]) -> list[str]:
    names = [entry.status.name for entry in entries]
    return [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]


def _difference(
    wanted: Sequence[str], found: Sequence[str], entries: Sequence[Entry[Any, Any]]
) -> str:
    lines = [line for line in ndiff(wanted, found) if not line.startswith("?")]
    return "\n".join(
        [
            "the history differs (- expected, + found):",
            *(f"  {line.rstrip()}" for line in lines),
            "the whole history:",
            *(f"  {entry}" for entry in entries),
        ]
    )


def _checked(expected: object) -> list[Status | tuple[Status, Cause]]:
    as_text = shown(expected)
    if isinstance(expected, list | tuple):
        given = cast("Sequence[object]", expected)
        if all(isinstance(one, Status) for one in given) or all(map(_is_version, given)):
            return cast("list[Status | tuple[Status, Cause]]", list(given))
    raise InvalidInput(
        "expected", f"it is a list of statuses, or of pairs of a status and a cause, not {as_text}"
    )


def _is_version(value: object) -> bool:
    match value:
        case (Status(), Cause()):
            return True
        case _:
            return False
