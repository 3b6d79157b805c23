"""Wrappers of each kind, for tests of decorated steps."""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial, update_wrapper, wraps
from typing import Any


def plain_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def async_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        returned = function(*args, **kwargs)
        return await returned if inspect.isawaitable(returned) else returned

    return wrapper


def in_a_loop_of_its_own(function: Callable[..., Any]) -> Callable[..., Any]:
    """As decorators of plain frameworks do it: no event loop may run in the calling thread."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        async def call() -> Any:
            returned = function(*args, **kwargs)
            return await returned if inspect.isawaitable(returned) else returned

        return asyncio.run(call())

    return wrapper


def in_a_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        returned = await asyncio.to_thread(function, *args, **kwargs)
        return await returned if inspect.isawaitable(returned) else returned

    return wrapper


class PlainObject:
    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


class AsyncObject(PlainObject):
    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        returned = self._function(*args, **kwargs)
        return await returned if inspect.isawaitable(returned) else returned


class Awaited:
    """An awaitable that is not a coroutine."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return (
            (yield from self._value.__await__())
            if inspect.isawaitable(self._value)
            else (self._value)
        )


def to_an_awaitable(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return Awaited(function(*args, **kwargs))

    return wrapper


def by_partial(function: Callable[..., Any]) -> Callable[..., Any]:
    return partial(function)


WRAPPERS = [
    plain_wrapper,
    async_wrapper,
    in_a_loop_of_its_own,
    in_a_thread,
    PlainObject,
    AsyncObject,
    to_an_awaitable,
    by_partial,
]
BLOCKING = {in_a_loop_of_its_own}
"""They can't be called in an event loop, so an async wrapper may only call them in a thread."""


def can_wrap(outer: Callable[..., Any], inner: Callable[..., Any] | None) -> bool:
    runs_inner_in_a_loop = outer in (async_wrapper, AsyncObject, in_a_loop_of_its_own)
    return not (runs_inner_in_a_loop and inner in BLOCKING)


NESTED = [
    (outer, inner) for outer in WRAPPERS for inner in (None, *WRAPPERS) if can_wrap(outer, inner)
]
