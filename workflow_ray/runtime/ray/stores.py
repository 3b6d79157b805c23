"""Transports to the store: IPC on the adapter actor's node, and actor calls from other nodes."""

import asyncio
from typing import Literal, TypeAlias

import msgspec

from workflow_ray.errors import StoreUnavailable
from workflow_ray.roles.loopwatch import PATIENCE
from workflow_ray.runtime.ipc import Reconnecting
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.ray.actors import STORE, Actor, ActorGone, find, this_node
from workflow_ray.runtime.urls import Places, Urls

Route: TypeAlias = Literal["auto", "ipc", "calls"]
RETRY = 0.1
"""Seconds between attempts to find the adapter actor."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long, in seconds, an actor may fail to answer."""

    blocked: float = PATIENCE  # its loop, until it ends itself, and charges the step that blocks it
    # The actor as a whole, until the supervisor kills it. It is longer than `blocked`, so that an
    # actor that can charge the step does so first.
    silent: float = 1.5 * PATIENCE


LIMITS = Limits()


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """What every actor of a deployment is started with."""

    urls: Urls  # to open the store with; not to be shown, because they may contain passwords
    places: Places
    store_id: str
    namespace: str
    # Of the adapter actor, which runs elsewhere only if this node is gone and the records are a
    # server's.
    node: str
    limits: Limits = LIMITS
    logs: str = ""  # the folder of the actors' log files, on each node; "": they have none
    route: Route = "auto"  # to the store: auto is IPC on its node, and actor calls elsewhere


def transport_to(deployed: Deployed) -> "Reconnecting | ActorCalls":
    """Make a transport to the adapter actor. It finds the actor again after a replacement."""
    is_ipc = this_node() == deployed.node if deployed.route == "auto" else deployed.route == "ipc"
    return (
        Reconnecting(lambda: _socket(deployed.namespace))
        if is_ipc
        else ActorCalls(deployed.namespace)
    )


class ActorCalls:
    """A Transport that makes one actor call for each request. It repeats the requests that IPC
    repeats, until the deadline.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._actor: Actor | None = None
        self._closed = False

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """See Transport."""
        failure = "it did not answer"
        try:
            async with asyncio.timeout(deadline):
                while True:
                    try:
                        return await self._ask(method, body)
                    except ActorGone as error:
                        failure = str(error)
                        # it may have been carried out
                        if self._actor is not None and not METHODS[method].is_repeatable:
                            break
                        self._actor = None
                    await asyncio.sleep(RETRY)
        except TimeoutError:
            pass
        self._actor = None
        raise StoreUnavailable("the store", f"{method}: {failure}")

    def close(self) -> None:
        """Every further call fails with StoreUnavailable. Safe to repeat."""
        self._closed = True

    async def _ask(self, method: str, body: bytes) -> bytes:
        if self._closed:
            raise StoreUnavailable("the store", "the connection was closed here")
        if self._actor is None:
            self._actor = find(STORE, self._namespace)
        answer: bytes = await self._actor.ask("call", method, body)
        return answer


class OneCall:
    """A Transport whose actor calls are not repeated, and fail if no adapter actor runs."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """See Transport."""
        try:
            async with asyncio.timeout(deadline):
                answer: bytes = await find(STORE, self._namespace).ask("call", method, body)
                return answer
        except (ActorGone, TimeoutError) as error:
            raise StoreUnavailable(
                "the store", f"its adapter actor does not answer: {error}"
            ) from error


async def _socket(namespace: str) -> str:
    try:
        path: str = await find(STORE, namespace).ask("endpoint")
    except ActorGone as error:
        raise StoreUnavailable("the store", f"its adapter actor does not run: {error}") from error
    return path
