"""The signature of a function: the results that its annotation allows, and its resources."""

import sys
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from inspect import Parameter
from types import FunctionType, NoneType, UnionType
from typing import (
    Any,
    Generic,
    Literal,
    NamedTuple,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from workflow_ray.definition.callables import (
    call_mistake,
    given_by_partials,
    parameters_of,
    takes,
    written,
)
from workflow_ray.definition.function import AnyFunction
from workflow_ray.definition.halt import HALTS, Halt
from workflow_ray.definition.resources import Placeholder, Resource
from workflow_ray.definition.run import Run, S

if sys.version_info >= (3, 14):
    import annotationlib

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
ORDINALS = ("first", "second")
_VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Results(Generic[S]):
    """The statuses and halts that a function may return, read from its return annotation.

    The other annotations are not evaluated.

    Args:
        function: The function.
        scope: The local names at the place where it is decorated.
        statuses: The statuses of the workflow.
        allowed: The halts that it may return.
    """

    def __init__(
        self,
        function: AnyFunction,
        scope: Mapping[str, object],
        statuses: type[S],
        allowed: tuple[type[Halt], ...] = HALTS,
    ) -> None:
        self.statuses: set[S] = set()
        self.halts: set[type[Halt]] = set()
        self.mistake: str | None = None
        self.way_out: str | None = None  # None: to write another annotation
        try:
            choices = list(self._read(hint_of(function, "return", scope)))
        except NameError as error:
            self.mistake = f"has a return annotation that can't be read: {error}"
            self.way_out = "define or import the name before the step, not only under TYPE_CHECKING"
        except Exception as error:  # an annotation is code, and may raise anything
            self.mistake = (
                f"has a return annotation that fails with {type(error).__name__}: {error}"
            )
        else:
            self._sort(choices, statuses, allowed)

    def _read(self, hint: object) -> Iterator[object]:
        """The results that an annotation lists."""
        return _choices(hint)

    def _sort(
        self, choices: list[object], statuses: type[S], allowed: tuple[type[Halt], ...]
    ) -> None:
        others: list[object] = []
        refused: list[type[Halt]] = []
        for choice in choices:
            if isinstance(choice, statuses):
                self.statuses.add(choice)
            elif _is_halt(choice):
                (self.halts.add if choice in allowed else refused.append)(choice)
            else:
                others.append(choice)
        if others == [Parameter.empty]:
            self.mistake = "has no return annotation"
        elif others == [NoneType]:
            self.mistake = "may return None, which is not a result"
        elif others:
            listed = " and ".join(dict.fromkeys(map(_format_choice, others)))
            what = f"neither a status of {statuses.__name__} nor a halt"
            self.mistake = f"may return {listed}, which {'are' if len(others) > 1 else 'is'} {what}"
        elif refused:
            self.mistake = f"may return {refused[0].__name__}, which only a step may"


class BatchResults(Results[S]):
    """As `Results`, of a function that returns a list of results. It may have exceptions too."""

    def _read(self, hint: object) -> Iterator[object]:
        for choice in _choices(hint):
            if get_origin(choice) in (list, Sequence):
                (element,) = get_args(choice)
                yield from (each for each in _choices(element) if not _is_exception(each))
            elif choice is Parameter.empty:
                yield choice
            else:
                yield _NotAList(choice)

    def _sort(
        self, choices: list[object], statuses: type[S], allowed: tuple[type[Halt], ...]
    ) -> None:
        wrong = [choice.hint for choice in choices if isinstance(choice, _NotAList)]
        # What is not in a list is sorted too, for the annotation that is suggested.
        inner = [choice.hint if isinstance(choice, _NotAList) else choice for choice in choices]
        super()._sort(inner, statuses, allowed)
        if wrong:
            listed = " and ".join(dict.fromkeys(map(_format_choice, wrong)))
            self.mistake = (
                f"may return {listed}, which is not a list of results that are known; a batch step"
                " returns a list with one result for each run"
            )


def runs_mistake(function: AnyFunction, parameter: str, scope: Mapping[str, object]) -> str | None:
    """Why the parameter can't be the list of runs, as far as its annotation can be read."""
    try:
        hint = hint_of(function, parameter, scope)
    except Exception:  # it need not be known here: only type checkers need it
        return None
    if hint is Run or get_origin(hint) is Run:
        return f"takes one run, and gets a list of them; annotate `{parameter}: list[...]`"
    return None


class _NotAList(NamedTuple):
    """A choice that is not a list, or is a list of anything."""

    hint: object


def hint_of(function: AnyFunction, name: str, scope: Mapping[str, object]) -> object:
    """Evaluate one annotation, with the names of the function's module and of the place where it is
    decorated. Parameter.empty if there is none.

    Args:
        function: The function.
        name: That of the parameter, or "return".
        scope: The local names at that place.
    """
    inner = written(function)
    if inner is None or name not in (annotations := _annotations(inner)):
        return Parameter.empty

    def alone() -> None: ...

    # get_type_hints would evaluate the other annotations too, which need not be known
    alone.__annotations__ = {name: annotations[name]}
    has_extras = name != "return"  # pydantic reads constraints from Annotated
    return get_type_hints(alone, inner.__globals__, dict(scope), include_extras=has_extras)[name]


def _annotations(function: FunctionType) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return function.__annotations__


def _choices(hint: object) -> Iterator[object]:
    """The members of nested unions, the values of Literals, and the results of awaitables."""
    origin = get_origin(hint)
    if origin is Literal:
        yield from get_args(hint)
    elif origin in (Union, UnionType):
        for member in get_args(hint):
            yield from _choices(member)
    elif origin in (Awaitable, Coroutine):
        yield from _choices(get_args(hint)[-1])
    elif type(hint).__name__ == "TypeAliasType":  # Python 3.12's `type` statement
        yield from _choices(getattr(hint, "__value__", None))
    else:
        yield hint


def _is_halt(choice: object) -> TypeGuard[type[Halt]]:
    return isinstance(choice, type) and issubclass(choice, HALTS)


def _is_exception(choice: object) -> bool:
    return isinstance(choice, type) and issubclass(choice, BaseException)


def _format_choice(choice: object) -> str:
    if choice is NoneType:
        return "None"
    if isinstance(choice, type):
        return choice.__qualname__
    return repr(choice) if isinstance(choice, str) else str(choice)


class Parameters:
    """The resources of a function, by parameter. They come after the leading parameters.

    Args:
        function: The function.
        leading: What the leading parameters are, e.g. "the run".
        session_kind: The annotation of a parameter that takes a session. None: it takes none.
    """

    def __init__(
        self, function: AnyFunction, leading: Sequence[str], session_kind: str | None = None
    ) -> None:
        self.resources: dict[str, Resource[Any]] = {}
        self._of_session: list[str] = []  # the name of the parameter that takes the session
        self._session_kind = session_kind
        self.mistakes: list[str] = []
        self.are_hidden = False  # whether all are variadic, as those of most wrappers are
        self.leading: tuple[
            str, ...
        ] = ()  # the names of the leading ones, as far as they are there
        self._function = function
        self._given = given_by_partials(function)
        self._beyond = " and ".join(leading)
        parameters = parameters_of(function)
        if parameters and all(parameter.kind in _VARIADIC for parameter in parameters):
            self.are_hidden = True
            ones, them = ("ones", "them") if len(leading) > 1 else ("one", "it")
            self.mistakes.append(
                f"takes {', '.join(map(str, parameters))} and names no parameters; make"
                f" {self._beyond} the first {ones}, and where a decorator hides {them}, use"
                " functools.wraps in the decorator"
            )
            return
        self._lead(parameters[: len(leading)], leading)
        for parameter in parameters[len(leading) :]:
            self._read(parameter, parameter.default)
        named = {*self.resources, *self._of_session}
        if not self.mistakes and (why := call_mistake(function, len(leading), named)):
            self.mistakes.append(
                f"is wrapped by a function that can't be called with its arguments ({why}); give"
                " the wrapper `*args, **kwargs` and hand them on"
            )

    @property
    def session(self) -> str | None:
        """The name of the parameter that takes the session. None: the function has none."""
        return next(iter(self._of_session), None)

    def _lead(self, parameters: Sequence[Parameter], leading: Sequence[str]) -> None:
        for at, what in enumerate(leading):
            if at >= len(parameters) or not _is_positional(parameters[at]):
                self.mistakes.append(f"doesn't take {what}; make it the {ORDINALS[at]} parameter")
                return
            self.leading += (parameters[at].name,)

    def _read(self, parameter: Parameter, default: object) -> None:
        if isinstance(default, Placeholder) and parameter.kind in _BY_NAME:
            self.resources[parameter.name] = default.resource
        elif not self._of_session and self._is_session(parameter):
            self._of_session.append(parameter.name)
        elif parameter.name in self._given or not takes(self._function, parameter.name):
            pass  # a partial or a wrapper gives the argument
        else:
            way_out = "give it a default `RESOURCE.value`, or take it out"
            self.mistakes.append(
                f"has a parameter {str(parameter)!r} beyond {self._beyond} that is not a resource;"
                f" {way_out}"
            )

    def _is_session(self, parameter: Parameter) -> bool:
        """Whether it is annotated as a session. The annotation may be text, or a class whose module
        is imported by the function's own.
        """
        written = parameter.annotation
        name = written if isinstance(written, str) else getattr(written, "__name__", "")
        return parameter.kind in _BY_NAME and str(name).rpartition(".")[2] == self._session_kind


def _is_positional(parameter: Parameter) -> bool:
    return parameter.kind in _BY_POSITION and not isinstance(parameter.default, Placeholder)
