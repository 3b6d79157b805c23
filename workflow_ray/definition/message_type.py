"""The type of the messages that a callback takes."""

from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from pydantic import BaseModel, TypeAdapter

from workflow_ray.definition.data import ValueCodec, model_mistake
from workflow_ray.definition.function import AnyFunction
from workflow_ray.definition.signature import hint_of


class MessageType:
    """The annotation of a message, as far as it can be read.

    Args:
        function: The function of the callback.
        parameter: The name of the message's parameter.
        scope: The local names at the place where the function is decorated.
    """

    def __init__(self, function: AnyFunction, parameter: str, scope: Mapping[str, object]) -> None:
        self.mistake: str | None = None
        self._kind: Any = object
        self._parameter = parameter
        try:
            self._kind = hint_of(function, parameter, scope)
        except NameError as error:
            self.mistake = (
                f"has a message annotation that can't be read: {error}; define or import the name"
                " before the callback, not only under TYPE_CHECKING"
            )
        except Exception as error:  # an annotation is code, and may raise anything
            self.mistake = (
                f"has a message annotation that fails with {type(error).__name__}: {error}; mend"
                f" that of {parameter!r}"
            )
        else:
            self.mistake = self._mistake(scope)

    def codec(self, what: str) -> ValueCodec[Any]:
        """Make the codec of the messages. One that takes anything if the type has a mistake.

        Args:
            what: Names a message in errors.
        """
        return ValueCodec(object if self.mistake else self._kind, what)

    def _mistake(self, scope: Mapping[str, object]) -> str | None:
        kind: object = self._kind
        if kind is Parameter.empty:
            return (
                f"doesn't say what its message is; annotate {self._parameter!r} with a pydantic"
                " model, or with another type that pydantic reads"
            )
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind is BaseModel:
                return "has a message of BaseModel, which has no fields; annotate a subclass of it"
            if mistake := model_mistake(kind, scope):
                return f"has a message whose model {kind.__name__} {mistake}"
        try:
            TypeAdapter[object](self._kind)
        except Exception as error:  # pydantic raises several errors, and a user's type any
            first, *_ = str(error).splitlines() or [""]
            return (
                f"has a message that pydantic can't read ({type(error).__name__}: {first});"
                f" annotate {self._parameter!r} with a pydantic model"
            )
        return None
