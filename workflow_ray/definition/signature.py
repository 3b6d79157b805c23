"""Reading a step's function: the results that its return annotation allows, the resources that its
parameters name.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from inspect import Parameter
from types import FunctionType, MethodType, NoneType, UnionType
from typing import Any, Generic, Literal, TypeGuard, Union, get_args, get_origin, get_type_hints

from workflow_ray.definition.halt import HALTS, Halt
from workflow_ray.definition.resources import Placeholder, Resource
from workflow_ray.definition.run import S
from workflow_ray.definition.step import AnyStep

if sys.version_info >= (3, 14):
    import annotationlib

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def is_async(function: AnyStep) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def kind_mistake(function: object) -> str | None:
    """What keeps `function` from being a step whatever its signature."""
    if not isinstance(function, FunctionType | MethodType):
        return "is not a function; decorate a `def` or an `async def`"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "is a generator; return one result instead of yielding"
    return None


class Results(Generic[S]):
    """The statuses and halts that a function may return, by its annotation.

    Only that annotation is evaluated.
    """

    def __init__(self, function: AnyStep, scope: Mapping[str, object], statuses: type[S]) -> None:
        self.statuses: set[S] = set()
        self.halts: set[type[Halt]] = set()
        self.mistakes: list[str] = []
        example = next((f"{statuses.__name__}.{status.name}" for status in statuses), "...")
        self._way_out = (
            f"annotate `-> Literal[{example}]` with the statuses, and `| Cancel` or another halt,"
            " that it may return"
        )
        try:
            choices = list(_choices(_return_hint(function, scope)))
        except Exception as error:  # an annotation is code, and may raise whatever code raises
            self._mistake(
                f"has a return annotation that fails with {type(error).__name__}: {error}"
            )
        else:
            for choice in choices:
                self._sort(choice, statuses)

    def _sort(self, choice: object, statuses: type[S]) -> None:
        if isinstance(choice, statuses):
            self.statuses.add(choice)
        elif _is_halt(choice):
            self.halts.add(choice)
        elif choice is Parameter.empty:
            self._mistake("has no return annotation")
        elif choice is NoneType:
            self._mistake("may return None, which is not a result")
        else:
            self._mistake(
                f"may return {_shown(choice)}, which is neither a status of {statuses.__name__} nor"
                " a halt"
            )

    def _mistake(self, what: str) -> None:
        self.mistakes.append(f"{what}; {self._way_out}")


def _return_hint(function: AnyStep, scope: Mapping[str, object]) -> object:
    """The return annotation, evaluated: with the names of its module and of the place where it was
    decorated.
    """
    inner = inspect.unwrap(function)
    if sys.version_info >= (3, 14):
        annotations = annotationlib.get_annotations(inner, format=annotationlib.Format.FORWARDREF)
    else:
        annotations = inner.__annotations__
    if "return" not in annotations:
        return Parameter.empty

    def alone() -> None: ...

    # get_type_hints would evaluate the parameters' too
    alone.__annotations__ = {"return": annotations["return"]}
    return get_type_hints(alone, inner.__globals__, dict(scope))["return"]


def _choices(hint: object) -> Iterator[object]:
    """The members of a union, however nested, with Literals taken apart."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            yield from _choices(member)
    elif type(hint).__name__ == "TypeAliasType":  # Python 3.12's `type` statement
        yield from _choices(getattr(hint, "__value__", None))
    else:
        yield hint


def _is_halt(choice: object) -> TypeGuard[type[Halt]]:
    return isinstance(choice, type) and issubclass(choice, HALTS)


def _shown(choice: object) -> str:
    return choice.__qualname__ if isinstance(choice, type) else str(choice)


class Parameters:
    """A function's resources by parameter; its first parameter is the run."""

    def __init__(self, function: AnyStep) -> None:
        self.resources: dict[str, Resource[Any]] = {}
        self.mistakes: list[str] = []
        parameters = _parameters(function)
        if (
            not parameters
            or parameters[0].kind not in _BY_POSITION
            or isinstance(parameters[0].default, Placeholder)
        ):
            self.mistakes.append("doesn't take the run; make it the first parameter")
        for parameter in parameters[1:]:
            self._read(parameter, parameter.default)

    def _read(self, parameter: Parameter, default: object) -> None:
        if isinstance(default, Placeholder) and parameter.kind in _BY_NAME:
            self.resources[parameter.name] = default.resource
        else:
            way_out = "give it a default `RESOURCE.value`, or take it out"
            self.mistakes.append(
                f"has a parameter {str(parameter)!r} beyond the run that is not a resource;"
                f" {way_out}"
            )


def _parameters(function: AnyStep) -> list[Parameter]:
    if sys.version_info >= (3, 14):
        signature = inspect.signature(function, annotation_format=annotationlib.Format.STRING)
    else:
        signature = inspect.signature(function)
    return list(signature.parameters.values())
