"""The declaring of functions: what all decorators of a workflow have in common."""

from collections.abc import Callable
from types import FrameType
from typing import Any

from workflow_ray.definition.declarations import Declaration
from workflow_ray.definition.function import AnyFunction
from workflow_ray.definition.source import calling_frame, local_names, place_of
from workflow_ray.errors import InvalidDefinition


class Declaring:
    """Collects the declarations of a workflow, until it is put to use."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._declared: list[Declaration] = []
        self._unapplied: dict[object, str] = {}  # mistakes of decorators that decorate nothing yet
        self._is_in_use = False

    def _decorator(
        self,
        what: str,
        frame: FrameType,
        declaration: Callable[..., Declaration],
    ) -> Any:
        """Make the decorator that declares a function and returns it.

        Args:
            what: Names it in mistakes, e.g. "a step of At.NEW".
            frame: Of the call with the decorator's arguments.
            declaration: Makes the declaration, given the function, its place (`where`) and the
                local names there (`scope`).
        """
        decorator = object()
        self._unapplied[decorator] = (
            f"{place_of(frame)}: {what} has no function; write the call as a decorator, with an @,"
            " directly before the function"
        )

        def register(function: AnyFunction) -> Any:
            self._unapplied.pop(decorator, None)
            return self._declare(function, calling_frame(), declaration)

        return register

    def _declare(
        self,
        function: AnyFunction,
        frame: FrameType,
        declaration: Callable[..., Declaration],
    ) -> Any:
        declared = declaration(function=function, where=place_of(frame), scope=local_names(frame))
        if self._is_in_use:
            late = (
                f"{declared.place} comes after the workflow was put to use; declare all"
                f" {declared.noun}s before that"
            )
            raise InvalidDefinition(self.name, [late])
        self._declared.append(declared)
        return function
