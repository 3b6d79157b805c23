"""Performs a request on the store, on the side that owns it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from workflow_ray.errors import StoreError, StoreUnavailable, WorkflowError
from workflow_ray.ports.methods import methods_of
from workflow_ray.runtime.ipc.answers import is_known, refusal
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.ipc.served import Served, ServerMethods

_log = logging.getLogger(__name__)
_OWN = methods_of(ServerMethods)


async def answer(served: Served, name: str, body: bytes) -> bytes:
    """Call a method, and encode the outcome, errors included.

    Args:
        served: The store, with its server's methods.
        name: The method's.
        body: The arguments, as `Method.request` encodes them.

    Raises:
        CancelledError: And nothing else.
    """
    try:
        function = _function(served, name)
        return await METHODS[name].perform(function, body)
    except Exception as error:
        if isinstance(error, WorkflowError) and is_known(error):
            return refusal(error)
        _log.exception("the store failed in %s", name, extra={"method": name})
        return refusal(
            StoreUnavailable(
                "the store", f"{name} failed there ({type(error).__name__}); its log says more"
            )
        )


def _function(served: Served, name: str) -> Callable[..., Awaitable[Any]]:
    if name not in METHODS:
        raise StoreError(
            "the store",
            f"doesn't know {name!r}: it runs older code than its caller. Upgrade the deployment",
        )
    owner = served if name in _OWN else served.store
    function: Callable[..., Awaitable[Any]] | None = getattr(owner, name, None)
    if function is None:  # a method of an optional port
        raise StoreError("the store", f"has no {name!r}, because its events are elsewhere")
    return function
