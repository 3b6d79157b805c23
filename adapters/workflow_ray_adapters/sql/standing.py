"""Receives that wait, and are answered by the very transaction that publishes what they wait for."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from workflow_ray.ports import Clock
from workflow_ray.records import Received, Topic
from workflow_ray_adapters.sql.transaction import Receive


@dataclass(eq=False)
class _Waiter:
    what: Receive
    received: list[Received] = field(default_factory=list[Received])
    told: asyncio.Event = field(default_factory=asyncio.Event)


class Standing:
    """Those who have read all there was. They wait for an answer, or to be told that they must look for themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: list[_Waiter] = []

    def receives(self) -> Sequence[Receive]:
        return [waiter.what for waiter in self._waiters if not waiter.told.is_set()]

    async def receive(self, what: Receive, wait: float) -> list[Received]:
        """The answer; empty where there is none, and a look may find something now, or the `wait` of seconds is over."""
        waiter = _Waiter(what)
        self._waiters.append(waiter)
        try:
            await self._clock.wait(waiter.told, wait)
        finally:
            self._waiters.remove(waiter)
        return waiter.received

    def answer(self, what: Receive, received: list[Received]) -> None:
        for waiter in self._waiters:
            if waiter.what is what:
                waiter.received = received

    def tell(self, topics: Collection[Topic]) -> None:
        for waiter in self._waiters:
            if waiter.what.topic in topics:
                waiter.told.set()

    def tell_all(self) -> None:
        for waiter in self._waiters:
            waiter.told.set()
