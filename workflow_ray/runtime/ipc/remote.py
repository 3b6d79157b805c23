"""A store that another process owns."""

from collections.abc import Awaitable, Callable
from functools import cache, wraps
from typing import Any, cast

from workflow_ray.ports import RecordStore, Store
from workflow_ray.ports.methods import methods_of
from workflow_ray.runtime.ipc.about import About
from workflow_ray.runtime.ipc.methods import ABOUT, METHODS, PROCESS, Method
from workflow_ray.runtime.ipc.transport import Transport
from workflow_ray.runtime.process_status import ProcessStatus

PATIENCE = 30.0
"""Seconds for an answer, on top of what a call waits by itself; then StoreUnavailable."""


class Remote:
    """Sends calls to the store at the other end.

    Subclasses get the methods of ports, see `_with_methods`.
    """

    def __init__(self, transport: Transport, patience: float) -> None:
        self.transport = transport
        self.patience = patience


class RemoteStore(Remote):
    """The store at the other end, with its properties."""

    def __init__(self, transport: Transport, patience: float, about: About) -> None:
        super().__init__(transport, patience)
        self.store_id = about.store_id
        self.stream_id = about.stream_id
        self.timeouts_apart = about.timeouts_apart


async def remote_store(transport: Transport, *, patience: float = PATIENCE) -> Store:
    """Ask the store at the other end for its description, and return the store.

    The contract, errors included, is that of the store at the other end. The result implements the
    optional ports that this store implements.

    Args:
        transport: The way to the store.
        patience: Seconds for each answer, on top of what a call waits by itself.

    Raises:
        StoreUnavailable: It does not answer.
    """
    body = await transport.call(ABOUT.name, ABOUT.request(ABOUT.arguments()), deadline=patience)
    return store_over(transport, ABOUT.result(body), patience=patience)


async def remote_process(transport: Transport, *, patience: float) -> ProcessStatus | None:
    """Return the status of the process that serves the store; None: it runs no roles.

    Args:
        transport: The way to the process.
        patience: Seconds for the answer.

    Raises:
        StoreUnavailable: It does not answer.
        StoreError: It runs older code, which has no such method.
    """
    body = await transport.call(
        PROCESS.name, PROCESS.request(PROCESS.arguments()), deadline=patience
    )
    status: ProcessStatus | None = PROCESS.result(body)
    return status


def store_over(transport: Transport, about: About, *, patience: float = PATIENCE) -> Store:
    """Return the store at the other end, of which `about` is known already."""
    return cast(Store, _with_methods(RemoteStore, *about.ports)(transport, patience, about))


def records_over(transport: Transport, *, patience: float = PATIENCE) -> RecordStore:
    """Return the records at the other end. Nothing is sent before the first call."""
    return cast(RecordStore, _with_methods(Remote, RecordStore)(transport, patience))


@cache
def _with_methods(base: type[Remote], *ports: type) -> Callable[..., object]:
    """Make a subclass that has the methods of the ports.

    Its type is `object`, because type checkers can't derive it; a test compares its signatures with
    those of the ports.
    """
    return type(
        base.__name__, (base,), {name: _sending(METHODS[name]) for name in methods_of(*ports)}
    )


def _sending(method: Method) -> Callable[..., Awaitable[Any]]:
    @wraps(method.declared)
    async def send(self: Remote, *args: object, **named: object) -> Any:
        arguments: Any = method.arguments(*args, **named)
        deadline = self.patience + arguments.wait if method.is_long_poll else self.patience
        body = await self.transport.call(method.name, method.request(arguments), deadline=deadline)
        return method.result(body)

    return send
