"""Decides whether a trigger repeats the one that its idempotency key was first used for."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, get_origin

from pydantic import BaseModel

from workflow_ray.definition import Workflow
from workflow_ray.definition.fidelity import difference
from workflow_ray.records import DIGEST_SIZE, HistoryEntry, Write

HALF = DIGEST_SIZE // 2
PLAIN_FACTORIES = frozenset({list, dict, set, frozenset, tuple, str, bytes, int, float, bool})
"""Default factories that always make an equal value. Others may make a new id, or the time."""


def digest_of(foreign_id: str, data: bytes, start_at: int | None) -> bytes:
    """Make the digest of what a key is used for, the same in every process and version of Python.

    Args:
        foreign_id: Its digest is the first half.
        data: As it is stored. Its digest, together with `start_at`, is the second half.
        start_at: The number of the status that the trigger names. None if it names none, so that
            the digest stays the same when a deploy changes the workflow's start.
    """
    rest = blake2b(b"" if start_at is None else str(start_at).encode(), digest_size=HALF)
    rest.update(b"\0")  # no JSON begins with it, so the number's end is known
    rest.update(data)
    return blake2b(foreign_id.encode(), digest_size=HALF).digest() + rest.digest()


def has_same_data(one: bytes, other: bytes) -> bool:
    """Whether two digests are of the same data and first status.

    False only says that the bytes differ: the items of a set, for example, are written in another
    order by another process.
    """
    return one[HALF:] == other[HALF:]


def differences(
    workflow: Workflow[Any, Any],
    data: BaseModel,
    write: Write,
    digest: bytes,
    first: HistoryEntry | None,
) -> tuple[str, ...]:
    """Find the arguments of a trigger that differ from the ones that its key was first used with.

    Args:
        workflow: The workflow of both runs.
        data: The trigger's data.
        write: The trigger's write; it has a digest.
        digest: The digest that the first run stored.
        first: The first run's first version. None if the digests have the same data.

    Returns:
        The names that differ: of "foreign_id", "start_at", "data". Empty if the trigger is a
        repeat.
    """
    new = write.new
    assert new, "only a trigger has a key"
    assert new.digest, "the caller has looked"
    found = [] if new.digest[:HALF] == digest[:HALF] else ["foreign_id"]
    if first is not None:
        if first.status != write.status:
            found.append("start_at")
        if not _is_repeated(workflow, data, first):
            found.append("data")
    return tuple(found)


def _is_repeated(workflow: Workflow[Any, Any], data: BaseModel, first: HistoryEntry) -> bool:
    try:
        return is_repeated(data, workflow.decode(first.data or b"", first.data_version))
    except Exception:  # The first data was deleted, or is of an earlier model.
        return False


def is_repeated(value: Any, first: Any) -> bool:
    """Whether a value is the first one again, but for what default factories have made up."""
    return difference(first, _without_made_up(value, first)) is None


def _without_made_up(value: Any, first: Any) -> Any:
    """Replace values that a default factory made up by the first trigger's values.

    The caller did not give them, and each repeat has other ones.
    """
    if _is_a(value, BaseModel) and type(value) is type(first):
        return value.model_copy(update=_given(value, first))
    if _is_a(value, list, tuple) and _is_a(first, list, tuple) and len(value) == len(first):
        return [_without_made_up(ours, theirs) for ours, theirs in zip(value, first, strict=True)]
    if _is_a(value, Mapping) and _is_a(first, Mapping) and value.keys() == first.keys():
        return {key: _without_made_up(value[key], first[key]) for key in value}
    return value


def _given(value: BaseModel, first: BaseModel) -> dict[str, Any]:
    """Return the fields as the caller gave them, and made-up ones as the first trigger has them."""
    fields: dict[str, Any] = {}
    for name, field in type(value).model_fields.items():
        ours, theirs = getattr(value, name), getattr(first, name)
        factory = field.default_factory
        made_up = factory is not None and (get_origin(factory) or factory) not in PLAIN_FACTORIES
        is_given = name in value.model_fields_set or not made_up
        fields[name] = _without_made_up(ours, theirs) if is_given else theirs
    return fields


def _is_a(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds)
