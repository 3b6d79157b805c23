"""The role of a connector: it calls the connector's function with the events of a source."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, TypeAlias

from workflow_ray.definition import Connector, Resource, Retry, Workflow
from workflow_ray.engine.newer_data import HOLD_EVENT, newer_data_in
from workflow_ray.ports import Clock, PositionListener, RecordStore, SourceReader
from workflow_ray.records import (
    ConnectorEvent,
    Fence,
    Role,
    RoleName,
    SetAsideEvent,
    SetAsideKey,
    flaw_of_key,
)
from workflow_ray.roles.calling import call, check_fence
from workflow_ray.roles.deliverer import IN_FLIGHT, Duty
from workflow_ray.roles.delivery import Batch, Delivery, Failure, Item
from workflow_ray.roles.delivery_role import DeliveryRole
from workflow_ray.roles.execution import failed
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.resources import Opened, opened
from workflow_ray.roles.surrounded import Surrounded
from workflow_ray.roles.threads import Threads, threads_of

Clients: TypeAlias = Callable[[str], object]
"""Makes the client that a handler gets for the event with this id. Its writes carry the role's
fence, and its default idempotency keys are made of connector, event id and foreign id.
"""


@dataclass(frozen=True)
class ConnectorWork:
    """The work of a connector's role, and in tests the values that replace resources."""

    role: Role
    workflow: Workflow[Any, Any]
    connector: Connector
    clients: Clients
    events: str  # the deployment's URL for events
    replaced: Mapping[Resource[Any], object]


class ConnectorRole(DeliveryRole[ConnectorEvent]):
    """Opens the source and the resources of a connector, and delivers the events."""

    def __init__(
        self,
        work: ConnectorWork,
        fence: Fence,
        records: RecordStore,
        clock: Clock,
        observation: Observation | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        super().__init__(fence, records, clock, observation, in_flight)
        self._work = work

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, as Deliverer.run says.

        Raises:
            RoleLost: The role has a newer holder.
            WorkflowError: The store or the source can't be used, or a resource failed.
        """
        work = self._work
        connector = work.connector
        used = dict.fromkeys(connector.resources.values())
        async with (
            connector.source.open(clock=self._clock, events=work.events) as reader,
            opened(connector.name, used, work.replaced) as resources,
        ):
            threads = threads_of(work.workflow, work.role.name, connector.name, IN_FLIGHT)
            duty = Duty(
                work.role,
                SourceLog(reader),
                _handler_of(work)(work, resources, threads, self._fence.role),
                resources,
                connector.ordered,
                reader.committed if isinstance(reader, PositionListener) else None,
            )
            await self._deliver(duty, stop)


class SourceLog:
    """The log of a source, as a deliverer reads it."""

    def __init__(self, reader: SourceReader) -> None:
        self._reader = reader
        # A reader gets one call at a time, because it may have one consumer only. In a recovery
        # there are two callers.
        self._receiving = asyncio.Lock()

    @property
    def id(self) -> str:
        return self._reader.source_id

    async def starts(self) -> dict[int, int]:
        return await self._reader.starts()

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return await self._reader.ends(partitions)

    async def receive(
        self, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Batch[ConnectorEvent]:
        async with self._receiving:
            events = await self._reader.receive(offsets, limit=limit, wait=wait)
        return Batch([_item(event) for event in events])

    def pack(self, event: ConnectorEvent, running: Fence | None) -> SetAsideEvent:
        return SetAsideEvent(connector=event, running=running)

    def unpack(
        self, key: SetAsideKey, event_id: str, packed: SetAsideEvent
    ) -> Item[ConnectorEvent]:
        assert packed.connector is not None, "entries of a connector hold its events"
        return _item(packed.connector)


def _item(event: ConnectorEvent) -> Item[ConnectorEvent]:
    size = len(event.data)
    return Item(_storable(event.id), event.key, event.partition, event.offset, size, event)


def _storable(event_id: str) -> str:
    """Return the id, or a digest of one that not every store can hold: an outside log chooses it,
    for example by the name of a long topic.
    """
    if flaw_of_key(event_id) is None:
        return event_id
    return blake2b(event_id.encode(errors="surrogatepass"), digest_size=32).hexdigest()


class ConnectorHandler:
    """Calls the function of a connector."""

    def __init__(
        self, work: ConnectorWork, resources: Opened, threads: Threads, role: RoleName
    ) -> None:
        self._connector = work.connector
        self._clients = work.clients
        values = {name: resources.values[used] for name, used in work.connector.resources.items()}
        self._function = partial(work.connector.function, **values)
        self._threads = threads
        self._role = role

    @property
    def name(self) -> str:
        return self._connector.name

    def retry(self, event: ConnectorEvent) -> Retry:
        return self._connector.retry

    async def call(self, delivery: Delivery[ConnectorEvent]) -> Failure[ConnectorEvent] | None:
        event = delivery.item.event
        client = self._clients(delivery.item.id)
        error = await call(
            partial(self._function, client, event),
            is_async=self._connector.is_async,
            threads=self._threads,
        )
        return None if error is None else self._failure(event, error)

    def _failure(self, event: ConnectorEvent, error: BaseException) -> Failure[ConnectorEvent]:
        check_fence(error, self._role)
        why = failed(error, self._connector.retry)
        if newer_data_in(error):  # the handler has read a run
            return Failure(why.error, HOLD_EVENT, event, raised=error, is_counted=False)
        return Failure(why.error, self._connector.retry, event, why.fatal, error)


class SurroundedConnectorHandler(ConnectorHandler):
    """Calls the function of a connector with the middleware of the workflow around it."""

    def __init__(
        self, work: ConnectorWork, resources: Opened, threads: Threads, role: RoleName
    ) -> None:
        super().__init__(work, resources, threads, role)
        connector = work.connector
        self._around = Surrounded(
            work.workflow, "connector", connector.name, connector.is_async, threads
        )

    async def call(self, delivery: Delivery[ConnectorEvent]) -> Failure[ConnectorEvent] | None:
        event = delivery.item.event
        function = partial(self._function, self._clients(delivery.item.id), event)
        around = partial(self._around.call, function, delivery.number, event=event)
        error = await call(around, is_async=True, threads=self._threads)
        return None if error is None else self._failure(event, error)


def _handler_of(work: ConnectorWork) -> type[ConnectorHandler]:
    return SurroundedConnectorHandler if work.workflow.middleware else ConnectorHandler
