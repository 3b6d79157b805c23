"""The shape of a definition: what a deploy stores of it, to compare the next one with."""

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, cast

from pydantic import BaseModel

from workflow_ray.definition import (
    BatchStep,
    Callback,
    ChildFunction,
    ChildrenFunction,
    RunFunction,
    Status,
    TimeoutFunction,
    Workflow,
)
from workflow_ray.records import Shape

STEP = "step "
CALLBACK = "callback "
TIMEOUT = "timeout "
CHILD = "child function of "
CHILDREN = "children function of "
"""How the names of functions begin. What follows is the name by which messages name the function,
or the step's own name.
"""
NAMED = frozenset({"properties", "patternProperties", "$defs"})
"""The parts of a JSON schema whose keys are names."""


def shape_of(workflow: Workflow[Any, Any]) -> Shape:
    """Return the shape of a definition without mistakes."""
    return Shape(
        data_version=workflow.data_version,
        model=_digest_of(workflow.data),
        functions=tuple(sorted(_functions(workflow))),
    )


def _functions(workflow: Workflow[Any, Any]) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    graph = workflow.checked()
    statuses: type[Status] = workflow.statuses
    for status in statuses:
        for function in graph.functions(status):
            targets = sorted(target.value for target in function.targets)
            yield name_of(function), status.value, tuple(targets)


def name_of(function: RunFunction[Any]) -> str:
    """Name a function with its kind."""
    match function:
        case BatchStep():
            return f"{STEP}{function.name}"
        case Callback():
            return f"{CALLBACK}{function.name}"
        case TimeoutFunction():
            return f"{TIMEOUT}{function.name}"
        case ChildrenFunction():
            return f"{CHILDREN}{function.child.name}"
        case ChildFunction():
            return f"{CHILD}{function.child.name}"
        case _:
            return f"{STEP}{function.name}"


def _digest_of(model: type[BaseModel]) -> str:
    """Return a digest of what the model accepts, or "" if pydantic can't describe it."""
    try:
        schema = model.model_json_schema()
    except Exception:  # a field of a type that JSON schema has nothing for
        return ""
    accepted = json.dumps(_without_defaults(schema), sort_keys=True)
    return blake2b(accepted.encode(), digest_size=16).hexdigest()


def _without_defaults(schema: object, *, is_by_name: bool = False) -> object:
    """Leave out the values of defaults. They may differ between processes with the same code.

    Args:
        schema: A JSON schema, or a part of it.
        is_by_name: Whether it is a mapping whose keys are names, of fields for example.
    """
    if isinstance(schema, list):
        return [_without_defaults(each) for each in cast(list[object], schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_defaults(value, is_by_name=not is_by_name and key in NAMED)
        for key, value in cast(dict[str, object], schema).items()
        if is_by_name or key != "default"
    }
