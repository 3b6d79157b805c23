"""The layers of middleware around one call of a function."""

import inspect
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from workflow_ray.definition.callables import name_of
from workflow_ray.definition.middleware import FunctionCall, Middleware, Proceed
from workflow_ray.errors import InvalidInput


async def call_through(
    middleware: Sequence[Middleware], call: FunctionCall, function: Proceed
) -> object:
    """Call a function with the middleware around it, the first one outermost.

    Args:
        middleware: The layers.
        call: What each layer gets.
        function: Calls the function.

    Returns:
        What the outermost layer returns.

    Raises:
        InvalidInput: A layer has called `proceed` twice, returned an awaitable, or returned before
            its call of `proceed` had ended.
        Exception: What the outermost layer raises.
    """
    proceed = function
    for layer in reversed(middleware):
        proceed = partial(_run, layer, call, proceed)
    return await proceed()


async def _run(layer: Middleware, call: FunctionCall, rest: Proceed) -> object:
    proceed = _Once(rest, layer)
    value = await layer(call, proceed)
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()  # nothing awaits it, which would cause a warning
        raise InvalidInput(
            f"middleware {name_of(layer)}",
            "it returned an awaitable; write `return await proceed()`",
        )
    if not proceed.has_ended():
        raise InvalidInput(
            f"middleware {name_of(layer)}",
            "it returned before its call of `proceed` had ended; write `await proceed()`",
        )
    return value


class _Once:
    """The rest of a call, which runs once, because a function changes its run."""

    def __init__(self, rest: Proceed, layer: Middleware) -> None:
        self._rest = rest
        self._layer = layer
        self._has_begun = False
        self._calls = list[Coroutine[Any, Any, object]]()

    def __call__(self) -> Coroutine[Any, Any, object]:
        made = self._proceed()
        self._calls.append(made)
        return made

    def has_ended(self) -> bool:
        """Return whether each call was awaited to its end. Those that have not begun won't."""
        states = [inspect.getcoroutinestate(made) for made in self._calls]
        for made, state in zip(self._calls, states, strict=True):
            if state == inspect.CORO_CREATED:
                made.close()
        return all(state == inspect.CORO_CLOSED for state in states)

    async def _proceed(self) -> object:
        if self._has_begun:
            raise InvalidInput(
                f"middleware {name_of(self._layer)}",
                "it has called `proceed` already; declare `retry=` for further attempts",
            )
        self._has_begun = True
        return await self._rest()
