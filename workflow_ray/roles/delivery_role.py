"""A role around a deliverer, which it makes when its resources are open."""

import asyncio
from typing import Generic

from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Fence
from workflow_ray.roles.deliverer import Deliverer, Duty
from workflow_ray.roles.delivery import E
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation


class DeliveryRole(Generic[E]):
    """The base of the roles that deliver events."""

    def __init__(
        self,
        fence: Fence,
        records: RecordStore,
        clock: Clock,
        observation: Observation | None,
        in_flight: InFlight | None,
    ) -> None:
        """Roles of one event loop share `observation`, and those of one process `in_flight`."""
        self._fence = fence
        self._records = records
        self._clock = clock
        self._observation = observation or Observation()
        self._in_flight = in_flight or InFlight()
        self._deliverer: Deliverer[E] | None = None
        self._opened = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether everything that was received is committed."""
        return self._deliverer is None or self._deliverer.idle

    def progress(self) -> asyncio.Event:
        """Return what is set when the next events in hand are committed, counted from this call."""
        return self._opened if self._deliverer is None else self._deliverer.progress()

    async def _deliver(self, duty: Duty[E], stop: asyncio.Event) -> None:
        self._deliverer = Deliverer(
            duty, self._fence, self._records, self._clock, self._observation, self._in_flight
        )
        self._opened.set()
        await self._deliverer.run(stop)
