"""The way from an actor or a driver to the store: the lane on the adapter actor's node, calls of that actor from elsewhere."""

import asyncio
from typing import Literal, TypeAlias

import msgspec

from workflow_ray.errors import StoreUnavailable
from workflow_ray.runtime.ipc import Reconnecting
from workflow_ray.runtime.ipc.reconnecting import ONCE
from workflow_ray.runtime.ray.actors import STORE, Actor, ActorGone, find, this_node
from workflow_ray.runtime.urls import Places, Urls

Route: TypeAlias = Literal["auto", "lane", "calls"]
RETRY = 0.1
"""Seconds between attempts to find an adapter actor that isn't there."""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """What every actor of a deployment is told."""

    urls: Urls  # to open the store with: not to be shown
    places: Places
    store_id: str
    namespace: str
    node: str  # of the adapter actor, which leaves it only if it is gone and the records are a server's
    route: Route = "auto"  # to the store: auto is the lane on its node, and actor calls elsewhere


def transport_to(deployed: Deployed) -> "Reconnecting | ActorCalls":
    """The store's adapter actor, found again whenever it breaks."""
    lane = this_node() == deployed.node if deployed.route == "auto" else deployed.route == "lane"
    return Reconnecting(lambda: _socket(deployed.namespace)) if lane else ActorCalls(deployed.namespace)


class ActorCalls:
    """A Transport of actor calls, one for each request. Repeats what the lane would, for as long as the deadline allows."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._actor: Actor | None = None
        self._closed = False

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """See Transport."""
        failure = "it didn't answer"
        try:
            async with asyncio.timeout(deadline):
                while True:
                    try:
                        return await self._ask(method, body)
                    except ActorGone as error:
                        failure = str(error)
                        if method in ONCE and self._actor is not None:  # it may have been carried out
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


async def _socket(namespace: str) -> str:
    try:
        path: str = await find(STORE, namespace).ask("endpoint")
    except ActorGone as error:
        raise StoreUnavailable("the store", f"its adapter actor isn't up: {error}") from error
    return path
