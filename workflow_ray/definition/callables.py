"""The callable of a user: a function, decorated or not, a method, a partial or an object."""

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from inspect import Parameter, Signature
from types import FunctionType, MethodType
from typing import Any

if sys.version_info >= (3, 14):
    import annotationlib

_WAY_OUT = "decorate a `def` or an `async def`"


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call only makes a coroutine, so that it may be made in the event loop.

    The outermost callable decides, because a role calls that one: an async wrapper of a plain
    function is async, and a plain wrapper of an async function is not.
    """
    return any(map(inspect.iscoroutinefunction, _forms(function)))


def kind_mistake(function: object) -> str | None:
    """Why an object of this kind can't be a step, whatever its signature is. None if it can."""
    if isinstance(function, type):
        return f"is a class; {_WAY_OUT}"
    if not callable(function) or written(function) is None or not _has_signature(function):
        return f"is not a function; {_WAY_OUT}"
    generators = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_generator(form) for form in _forms(function) for is_generator in generators):
        return "is a generator; return one result instead of yielding"
    return None


def name_of(function: object) -> str:
    """The qualified name of the first layer that has one."""
    for layer in _layers(function):
        if name := getattr(layer, "__qualname__", None):
            return str(name)
    return type(function).__qualname__ if callable(function) else repr(function)


def plain_name_of(function: object) -> str:
    """The name without the classes and functions around it. For an object, that of its class."""
    parts = [part for part in name_of(function).split(".") if part != "__call__"]
    return parts[-1] if parts else name_of(function)


def written(function: object) -> FunctionType | None:
    """The innermost function, which has the annotations. None if it is not a Python function."""
    *_, innermost = _layers(function)
    return innermost if isinstance(innermost, FunctionType) else None


def given_by_partials(function: object) -> set[str]:
    """The names of the arguments that `functools.partial` objects give."""
    return {name for layer in _layers(function) if _is_partial(layer) for name in layer.keywords}


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters of the innermost function, if the decorators use `functools.wraps`."""
    return list(_signature(function, follow_wrapped=True).parameters.values())


def call_mistake(function: Callable[..., Any], leading: int, names: set[str]) -> str | None:
    """Why the callable does not accept so many positional arguments and arguments of these names.
    None if it does.

    It can differ from `parameters_of`, which reads the function inside of a wrapper.
    """
    try:
        _own_signature(function).bind(*[None] * leading, **dict.fromkeys(names))
    except TypeError as error:
        return str(error)
    return None


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether the outermost callable accepts an argument of that name."""
    parameters = _own_signature(function).parameters
    return name in parameters or any(
        parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _has_signature(function: Callable[..., Any]) -> bool:
    try:
        _signature(function, follow_wrapped=True)
    except (
        TypeError,
        ValueError,
    ):  # a builtin may have no signature, and a callable may wrap itself
        return False
    return True


def _own_signature(function: Callable[..., Any]) -> Signature:
    """Return the signature of the outermost callable. If that is not written in Python, as the
    wrapper of functools.cache, return the signature of what it wraps.
    """
    try:
        return _signature(function, follow_wrapped=False)
    except ValueError:
        return _signature(function, follow_wrapped=True)


def _signature(function: Callable[..., Any], *, follow_wrapped: bool) -> Signature:
    if isinstance(function, staticmethod):
        function = function.__func__
    if sys.version_info >= (3, 14):
        return inspect.signature(
            function,
            follow_wrapped=follow_wrapped,
            annotation_format=annotationlib.Format.STRING,
        )
    return inspect.signature(function, follow_wrapped=follow_wrapped)


def _forms(function: object) -> tuple[object, ...]:
    """The callable inside of partials, and the `__call__` of its class."""
    form: Any = function
    while _is_partial(form):
        form = form.func
    return form, _call_of(form)


def _layers(function: object) -> Iterator[Any]:
    """The object and the callables inside of it, the outermost first."""
    seen = set[int]()
    layer: Any = function
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        layer = _inner(layer)


def _inner(layer: Any) -> Any:
    if _is_partial(layer):
        return layer.func
    if isinstance(layer, MethodType):
        return layer.__func__
    if (wrapped := getattr(layer, "__wrapped__", None)) is not None:
        return wrapped
    if isinstance(layer, FunctionType):
        return None
    called = _call_of(layer)
    return called if isinstance(called, FunctionType) else None


def _call_of(value: object) -> object:
    return inspect.getattr_static(type(value), "__call__", None)


def _is_partial(value: Any) -> bool:
    return isinstance(value, partial)
