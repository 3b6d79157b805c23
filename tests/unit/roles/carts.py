"""A workflow with a connector, whose events a test makes and whose handler it changes."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import uuid4

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, Parcels, Stage, packing
from workflow_ray import Client, Retry
from workflow_ray.records import (
    ConnectorEvent,
    Position,
    Role,
    SetAside,
    SetAsideQuery,
    connector_group,
)
from workflow_ray_adapters.memory import MemorySource

GROUP = connector_group("parcels", "carts")
Handle: TypeAlias = Callable[[Client[Parcel, Stage], ConnectorEvent], Coroutine[Any, Any, None]]


class Carts:
    """The source, the workflow, and what the handler did. The last one of `work` handles events."""

    def __init__(
        self,
        *,
        partitions: int = 1,
        shards: int = 1,
        attempts: int = 3,
        ordered: bool = False,
        backoff: float = 1,
        name: str = "carts",
    ) -> None:
        self.name = f"{name}-{uuid4()}"
        self.source = MemorySource(self.name, partitions=partitions)
        self.handled = list[str]()  # the data of events that were handled
        self.begun = list[str]()  # those of events that were given to the handler
        self.work: list[Handle] = []
        self.workflow: Parcels = packing()

        @self.workflow.connector(
            "carts",
            self.source,
            shards=shards,
            retry=Retry(attempts=attempts, backoff=timedelta(seconds=backoff)),
            ordered=ordered,
        )
        async def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
            self.begun.append(event.data.decode())
            if self.work:
                await self.work[-1](client, event)
            self.handled.append(event.data.decode())

    def put(self, *names: str, key: str = "", partition: int = 0) -> None:
        for name in names:
            self.source.put(name.encode(), key=key, partition=partition)

    def forget(self) -> None:
        self.handled.clear()
        self.begun.clear()


async def connector(bench: Bench, *, shard: int = 1, shards: int = 1) -> AtWork:
    return await bench.start(Role(GROUP, shard, shards))


async def entries(bench: Bench) -> list[SetAside]:
    return await bench.whole.set_aside(SetAsideQuery(group=GROUP))


async def dead(bench: Bench) -> list[SetAside]:
    return await bench.whole.set_aside(SetAsideQuery(group=GROUP, dead=True))


async def rows(bench: Bench) -> list[Position]:
    return await bench.whole.positions(GROUP)


async def offset(bench: Bench) -> int:
    """The sum of the committed positions of all partitions."""
    return sum(row.offset for row in await rows(bench))


def breaking(*names: str) -> Handle:
    """Fails for the events with these data."""

    async def work(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        if event.data.decode() in names:
            raise ValueError("broken")

    return work


def hanging(*names: str) -> Handle:
    """Hangs in the events with these data, or in all."""

    async def work(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        if not names or event.data.decode() in names:
            await asyncio.Event().wait()

    return work


async def succeeding(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
    pass


async def triggering(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
    await client.trigger(event.key, Parcel(label=event.data.decode()))
