"""Conversion of a run's data, and of messages to it, to bytes and back."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, PydanticUndefinedAnnotation, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from workflow_ray.definition.exact_models import guard_of
from workflow_ray.definition.fidelity import difference, flaw_at
from workflow_ray.errors import InvalidInput

T = TypeVar("T")

SHOWN = 3
"""The number of flaws that an error lists."""
LARGE = 4000
"""Bytes. Shorter data can't hold a number that is too long to be read."""


class ValueCodec(Generic[T]):
    """Converts the values of one type to JSON and back.

    The keys are the names of the fields. Aliases are ignored: they are for other readers, and a
    model need not accept them.

    Args:
        kind: The type: anything that pydantic's TypeAdapter takes.
        what: Names the value in errors.
    """

    def __init__(self, kind: Any, what: str) -> None:
        adapter: TypeAdapter[T] = TypeAdapter(kind)
        self.kind = kind
        self._what = what
        self._model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        self._to_json = adapter.serializer.to_json
        self._validate: Callable[..., T] = adapter.validator.validate_json
        self._reads_back = None if self._model is None else guard_of(self._model)

    def encode(self, data: T) -> bytes:
        """Convert the value to JSON that reads back equal, or raise InvalidInput."""
        # pydantic would write the fields of the model, and drop those of a subclass
        if self._model is not None and type(data) is not self._model:
            raise InvalidInput(
                self._what,
                f"is of type {type(data).__name__}; it must be {self._model.__name__} itself.",
            )
        reads_back = self._reads_back is not None and self._reads_back(data)
        # it takes a third of the time without warnings, and such data causes none
        try:
            encoded = self._to_json(
                data, by_alias=False, round_trip=True, warnings=False if reads_back else "error"
            )
        except PydanticSerializationError as error:
            raise InvalidInput(self._what, _why(error)) from None
        except (
            Exception
        ) as error:  # a user's serializer may raise anything, and text may not be Unicode
            raise InvalidInput(
                self._what, f"can't be written as JSON ({type(error).__name__})."
            ) from None
        if not reads_back or len(encoded) > LARGE:
            self._compare(data, encoded)
        return encoded

    def decode(self, data: bytes) -> T:
        """Read data that `encode` has made. Raises pydantic.ValidationError if it doesn't fit."""
        return self._validate(data, by_alias=False, by_name=True)

    def _compare(self, data: T, encoded: bytes) -> None:
        try:
            read = self.decode(encoded)
        except ValidationError as error:
            raise InvalidInput(self._what, _unreadable(data, error)) from None
        except Exception as error:  # a user's validator may raise anything
            raise InvalidInput(
                self._what, f"can't be read back ({type(error).__name__})."
            ) from None
        if found := difference(data, read):
            raise InvalidInput(f"{self._what}, {found.path}", f"{found.why}.")


def model_mistake(model: type[BaseModel], scope: Mapping[str, object]) -> str | None:
    """Complete a model whose fields name what was defined after it.

    Args:
        model: The model.
        scope: Names that the fields may use beside those of the model's module.

    Returns:
        Why it can't be completed, and the way out. None if the model is complete.
    """
    try:
        if not model.__pydantic_complete__:
            _complete(model, scope)
    except PydanticUndefinedAnnotation as error:
        return (
            f"has fields that can't be read: name {error.name!r} is not defined; define or import"
            f" it before the workflow is used, not only under TYPE_CHECKING, or call"
            f" {model.__name__}.model_rebuild() where it is known"
        )
    except (
        Exception
    ) as error:  # an annotation may raise anything, and pydantic can't handle every type
        first, *_ = str(error).splitlines() or [""]
        return (
            f"can't be built by pydantic ({type(error).__name__}: {first}); mend its fields, and"
            f" try {model.__name__}.model_rebuild()"
        )
    return None


def _complete(model: type[BaseModel], scope: Mapping[str, object]) -> None:
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation:
        model.model_rebuild(_types_namespace=dict(scope))


def _unreadable(data: object, error: ValidationError) -> str:
    """Format why the data can't be read back, without its values, which may be personal."""
    for flaw in error.errors(include_input=False, include_url=False):
        if known := flaw_at(data, flaw["loc"]):
            return f"{_path(flaw['loc'])}: {known}."
    flaws = [
        f"{_path(flaw['loc'])}: {flaw['msg']}"
        for flaw in error.errors(include_input=False, include_url=False)
    ]
    shown = "; ".join(flaws[:SHOWN]) + ("; and others" if len(flaws) > SHOWN else "")
    return f"can't be read back: {' '.join(shown.split())}. What the model writes, it must accept."


def _path(loc: Iterable[int | str]) -> str:
    return ".".join(map(str, loc)) or "the whole"


def _why(error: PydanticSerializationError) -> str:
    """Format why the data can't be written, without its values, which may be personal."""
    fields = re.findall(r"field_name='(\w+)'", str(error))  # only the message has the names
    if not fields:
        return (
            "can't be written as JSON: a value is not of the type that was declared, or of one that"
            " JSON has nothing for, or is nested too deeply."
        )
    return (
        f"has values that aren't of their field's type: {', '.join(fields)}. Assign what the model"
        " says."
    )
