"""Calls of functions of the user that a deliverer's handler makes."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

from workflow_ray.engine.interrupts import is_cancellation, is_interrupt
from workflow_ray.errors import RoleLost
from workflow_ray.records import RoleName
from workflow_ray.roles.threads import Threads


async def value_of(
    function: Callable[[], object], *, is_async: bool, threads: Threads, run_id: str = ""
) -> object:
    """Call a function of the user, and return what it returns. Raises what it raises.

    Args:
        function: The function, with its arguments.
        is_async: Whether a call only makes a coroutine. Otherwise it is called in a thread, and
            what it returns may be an awaitable.
        threads: Where a plain function is called.
        run_id: The run that the call is for, if any.
    """
    if is_async:
        return await cast(Awaitable[object], function())
    value, error = await threads.call(function, run_id)
    if error is not None:
        raise error
    return await cast(Awaitable[object], value) if inspect.isawaitable(value) else value


async def call(
    function: Callable[[], Any], *, is_async: bool, threads: Threads
) -> BaseException | None:
    """Call a function of the user, and return what it raises.

    Args:
        function: The function, with its arguments.
        is_async: Whether a call only makes a coroutine. Otherwise it is called in a thread, and
            what it returns may be an awaitable.
        threads: Where a plain function is called.
    """
    try:
        if is_async:
            await function()
        else:
            value, error = await threads.call(function)
            if error is not None:
                return error
            if inspect.isawaitable(value):  # a plain wrapper of an async function
                await value
    except BaseException as error:
        if is_interrupt(error) or is_cancellation(error):
            raise
        return error
    return None


def check_fence(error: BaseException | None, role: RoleName) -> None:
    """Raise RoleLost if a write of the function was refused because the role has a newer holder."""
    errors = [] if error is None else [error]
    while errors:
        one = errors.pop()
        if isinstance(one, RoleLost) and one.role == role:
            raise one
        if isinstance(one, BaseExceptionGroup):
            errors.extend(cast(BaseExceptionGroup[BaseException], one).exceptions)
