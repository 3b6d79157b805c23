"""The digest of a data model: the same in each process that has the same code."""

from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, create_model

from workflow_ray import Status, Workflow
from workflow_ray.engine.shapes import shape_of


class Place(Status):
    HERE = 1


def digest(model: type[BaseModel]) -> str:
    return shape_of(Workflow("shaped", model, Place)).model


def test_the_value_of_a_default_does_not_change_it() -> None:
    inner: Any = create_model("Inner", where=(str, "a host"))
    other: Any = create_model("Inner", where=(str, "another host"))
    models = [
        create_model("Model", made_by=(UUID, uuid4()), inner=(kind, kind()))
        for kind in (inner, other)
    ]
    assert digest(models[0]) == digest(models[1])


def test_what_is_accepted_changes_it() -> None:
    fields: list[dict[str, Any]] = [
        {"default": (int, ...)},
        {"default": (str, ...)},
        {"default": (int, 1)},
        {"properties": (int, ...)},
        {},
    ]
    digests = {digest(create_model("Model", **each)) for each in fields}
    assert len(digests) == len(fields)
