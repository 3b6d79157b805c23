"""A store that another process owns."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, cast

from workflow_ray.ports import OutboxMover, RecordStore, Store, Trimmer
from workflow_ray.ports.methods import methods_of
from workflow_ray.runtime.ipc.methods import ABOUT, METHODS, About, Method
from workflow_ray.runtime.ipc.transport import Transport

PATIENCE = 30.0
"""Seconds for an answer, on top of what a call waits by itself; then StoreUnavailable."""


class Remote:
    """What asks the store at the other end.

    The methods of ports are added to subclasses, see `_with_methods`.
    """

    def __init__(self, transport: Transport, patience: float) -> None:
        self.transport = transport
        self.patience = patience


class RemoteStore(Remote):
    """The store at the other end, with what is known of it."""

    def __init__(self, transport: Transport, patience: float, about: About) -> None:
        super().__init__(transport, patience)
        self.store_id = about.store_id
        self.stream_id = about.stream_id
        self.timeouts_apart = about.timeouts_apart


async def remote_store(transport: Transport, *, patience: float = PATIENCE) -> Store:
    """The store at the other end; an OutboxMover and a Trimmer where that is one.

    The contract, errors included, is that of the store at the other end.

    Args:
        patience: Seconds for each answer, on top of what a call waits by itself.

    Raises:
        StoreUnavailable: It does not answer.
    """
    body = await transport.call(ABOUT.name, ABOUT.request(ABOUT.arguments()), deadline=patience)
    return store_over(transport, ABOUT.result(body), patience=patience)


def store_over(transport: Transport, about: About, *, patience: float = PATIENCE) -> Store:
    """The store at the other end, without asking what is known of it."""
    optional = {OutboxMover: about.moves, Trimmer: about.trims}
    ports = (Store, *(port for port, present in optional.items() if present))
    return cast(Store, _with_methods(RemoteStore, *ports)(transport, patience, about))


def records_over(transport: Transport, *, patience: float = PATIENCE) -> RecordStore:
    """The records at the other end; nothing has to be asked before the first call."""
    return cast(RecordStore, _with_methods(Remote, RecordStore)(transport, patience))


@cache
def _with_methods(base: type[Remote], *ports: type) -> Callable[..., object]:
    """A subclass that has the methods of the ports.

    What it is, the caller knows: no type checker can.
    """
    return type(
        base.__name__, (base,), {name: _asking(METHODS[name]) for name in methods_of(*ports)}
    )


def _asking(method: Method) -> Callable[..., Awaitable[Any]]:
    async def ask(self: Remote, *args: object, **named: object) -> Any:
        arguments: Any = method.arguments(*args, **named)
        deadline = self.patience + arguments.wait if method.waits else self.patience
        body = await self.transport.call(method.name, method.request(arguments), deadline=deadline)
        return method.result(body)

    ask.__name__ = method.name
    return ask
