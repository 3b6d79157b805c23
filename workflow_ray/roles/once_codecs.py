"""How results of `once` are stored as JSON: as the return annotation of the function says."""

import weakref
from collections.abc import Awaitable, Callable, Coroutine
from types import FunctionType
from typing import Any, get_args, get_origin, get_type_hints

from workflow_ray.definition.callables import name_of, written
from workflow_ray.definition.data import ValueCodec

_codecs: weakref.WeakKeyDictionary[FunctionType, ValueCodec[Any]] = weakref.WeakKeyDictionary()


def codec_of(call: Callable[[], object]) -> ValueCodec[Any]:
    """Return the codec of the results of a function.

    Without an annotation that pydantic can read, results must be of types that JSON has.
    """
    function = written(call)
    if function is None:
        return ValueCodec(Any, f"the result of {name_of(call)}")
    codec = _codecs.get(function)
    if codec is None:
        codec = _codecs[function] = _made(function)
    return codec


def _made(function: FunctionType) -> ValueCodec[Any]:
    what = f"the result of {name_of(function)}"
    try:
        return ValueCodec(_result_type(function), what)
    except Exception:  # an annotation is code, and pydantic can't handle every type
        return ValueCodec(Any, what)


def _result_type(function: FunctionType) -> Any:
    hint = get_type_hints(function).get("return", Any)
    return get_args(hint)[-1] if get_origin(hint) in (Awaitable, Coroutine) else hint
