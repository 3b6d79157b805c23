"""Encodes the answer to a request: a value, or an error of the store."""

from typing import Any, Generic, TypeVar

import msgspec

from workflow_ray import errors
from workflow_ray.errors import WorkflowError

R = TypeVar("R")


class Raised(msgspec.Struct, frozen=True):
    """An error of the store: the name of its class in `workflow_ray.errors`, and its fields."""

    error: str
    fields: tuple[Any, ...]


class Answer(msgspec.Struct, Generic[R], frozen=True, omit_defaults=True):
    """A value, which may be None, or an error."""

    value: R | msgspec.UnsetType = msgspec.UNSET
    raised: Raised | None = None


_ERRORS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WorkflowError)
}
# A field of any other type is sent as text, so that the error is not lost because of it.
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode


def is_known(error: Exception) -> bool:
    """Whether the error can be raised again at the caller."""
    return isinstance(error, WorkflowError) and type(error).__name__ in _ERRORS


def refusal(error: WorkflowError) -> bytes:
    """Encode the answer that raises `error` at the caller."""
    return _encode(Answer[None](raised=Raised(type(error).__name__, error.args)))


def revived(raised: Raised) -> WorkflowError:
    """Make the error to raise at the caller."""
    try:
        return _ERRORS[raised.error](*raised.fields)
    except (KeyError, TypeError):  # The other side runs newer code.
        return WorkflowError(f"{raised.error}: {', '.join(map(str, raised.fields))}")
