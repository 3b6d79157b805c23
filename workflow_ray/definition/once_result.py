"""The results of `run.once`, as they are stored."""

from collections.abc import Awaitable, Callable, Coroutine
from inspect import Parameter
from types import FunctionType
from typing import Any, get_args, get_origin
from weakref import WeakKeyDictionary

from workflow_ray.definition.callables import plain_name_of, written
from workflow_ray.definition.data import ValueCodec
from workflow_ray.definition.signature import hint_of

# pydantic takes long to make a codec. A function that is made in each attempt goes with it.
_codecs: WeakKeyDictionary[FunctionType, ValueCodec[Any]] = WeakKeyDictionary()


def result_codec(call: Callable[..., object]) -> ValueCodec[Any]:
    """Make the codec of what a call returns.

    Its type is the return annotation of the function, awaitables taken off. A function without one,
    or with one that pydantic can't read, may return what JSON itself has: text, numbers, lists and
    so on.

    Args:
        call: The function, or a partial of it, as `Effects.once` gets it.
    """
    key = written(call)
    codec = None if key is None else _codecs.get(key)
    if codec is None:
        codec = _made(call)
        if key is not None:
            _codecs[key] = codec
    return codec


def _made(function: Callable[..., object]) -> ValueCodec[Any]:
    name = plain_name_of(function)
    try:
        hint: Any = hint_of(function, "return", {})
        if get_origin(hint) in (Awaitable, Coroutine):
            hint = get_args(hint)[-1]
        if hint is not Parameter.empty:
            return ValueCodec(hint, f"run.once, the result of {name}")
    except Exception:  # an annotation is code, and may raise anything; so may pydantic
        pass
    return ValueCodec(
        object, f"run.once, the result of {name}, which has no return annotation that can be read"
    )
