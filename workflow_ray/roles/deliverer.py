"""A role that delivers the events of a log to a function: a connector's, or the hooks' of a
workflow.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from workflow_ray.engine.visible import visible
from workflow_ray.errors import StoreError, WorkflowError
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Fence, NewSetAside, Role
from workflow_ray.roles.cancellation import run_cancellable
from workflow_ray.roles.delivering import Delivering
from workflow_ray.roles.delivery import Delivery, E, Failure, Handler, Lane, Log, Phase
from workflow_ray.roles.delivery_commits import Change, Commits
from workflow_ray.roles.delivery_intake import DeliveryIntake
from workflow_ray.roles.delivery_order import Order
from workflow_ray.roles.delivery_outcomes import DeliveryOutcomes
from workflow_ray.roles.delivery_recovery import DeliveryRecovery
from workflow_ray.roles.delivery_retries import AT_ONCE, POSTPONED, Retries
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.resources import Opened

logger = logging.getLogger(__name__)

IN_FLIGHT = 100
"""The most events of the log that run at a time."""
REPORT = 5.0
"""The seconds between two reports of the committed positions."""


@dataclass(frozen=True)
class Duty(Generic[E]):
    """What a deliverer is to do. The log and the resources are open."""

    role: Role
    log: Log[E]
    handler: Handler[E]
    resources: Opened
    is_ordered: bool = False
    # is told the committed positions now and then, because the log is trimmed by them
    report: Callable[[Mapping[int, int]], Awaitable[None]] | None = None
    # the partitions whose entries it tries again; None: those of the log
    aside: Collection[int] | None = None


class Deliverer(Generic[E]):
    """Receives events, calls the handler for each, and commits positions.

    Each event is delivered at least once. One that fails is set aside, with its attempts and the
    time of the next one, and the position moves on. When its attempts are used up, it stays there
    as a dead letter. If an earlier holder died, `DeliveryRecovery` first tries the events that it
    may have had in hand.
    """

    def __init__(
        self,
        duty: Duty[E],
        fence: Fence,
        records: RecordStore,
        clock: Clock,
        observation: Observation,
        in_flight: InFlight,
    ) -> None:
        """Roles of one event loop share `observation`, and those of one process `in_flight`."""
        group, log, handler = duty.role.group, duty.log, duty.handler
        self._duty = duty
        self._fence = fence
        self._clock = clock
        self._observation = observation
        self._in_flight = in_flight
        self._commits: Commits[E] = Commits(
            fence, group, log.id, records, clock, self._running_entry
        )
        self._order: Order[E] = Order(
            duty.is_ordered, self._start, self._put_behind, self._call_entry
        )
        self._outcomes = DeliveryOutcomes(fence.role, log, handler, self._commits, self._order)
        self._intake = DeliveryIntake(duty.role, fence, log, records, self._commits, clock)
        self._fresh = self._delivering(IN_FLIGHT)
        self._again = self._delivering(AT_ONCE)
        self._retries = Retries(
            fence,
            group,
            self._intake.partitions if duty.aside is None else duty.aside,
            log,
            handler,
            records,
            self._commits,
            self._order,
            self._again,
            observation,
            clock,
            self._outcomes.died,
            self._spawn,
        )

    def _delivering(self, limit: int) -> Delivering[E]:
        flush, context = self._commits.flush, self._duty.resources.context
        return Delivering(
            limit,
            self._call,
            self._outcomes.ended,
            self._outcomes.cancelled,
            flush,
            self._spawn,
            context,
        )

    @property
    def idle(self) -> bool:
        """Whether everything that was received is committed."""
        return not self._commits.in_hand

    def progress(self) -> asyncio.Event:
        """Return what is set when the next events in hand are committed, counted from this call."""
        return self._commits.next_settled()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish the running calls, and leave other events to the next
        holder.

        If it is cancelled after `stop`, it abandons the running calls and ends within seconds. If
        it is cancelled before, it leaves everything to the next holder.

        Raises:
            RoleLost: The role has a newer holder.
            WorkflowError: The store or the log can't be used, or a resource failed.
        """
        with self._in_flight.counted(self._fence.role, self._running):
            await run_cancellable(
                self._attend(stop),
                stop,
                leave=self._leave,
                abandon=self._abandon,
                close=self._close,
            )

    def _running(self) -> int:
        return self._fresh.running() + self._again.running()

    # --- work -----------------------------------------------------------------------------------

    async def _attend(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                committing = self._tasks.create_task(self._commits.run())
                watching = self._tasks.create_task(self._duty.resources.broken())
                await self._intake.begin()
                if self._duty.is_ordered:
                    await self._retries.hold_all()
                self._commits.begin(self._intake.partitions.values(), self._fresh.free)
                await self._commits.flush()
                recovering = self._tasks.create_task(self._recovery().run(stop))
                retrying = self._tasks.create_task(self._retries.run(stop))
                reporting = self._tasks.create_task(self._report())
                await self._intake.receive_until(stop, self._order.arrive)
                await asyncio.wait({recovering, retrying})
                self._withdraw()
                for partition in self._intake.partitions.values():
                    partition.leave()
                self._commits.touch()
                await self._commits.settled()
                self._commits.close()
                await asyncio.wait({committing})
                watching.cancel()
                reporting.cancel()
        except* WorkflowError as errors:
            raise errors.exceptions[0] from None

    async def _report(self) -> None:
        """Report the committed positions while they move."""
        reported: dict[int, int] = {}
        while self._duty.report is not None:
            partitions = self._intake.partitions.values()
            offsets = {at.number: at.committed for at in partitions if at.committed is not None}
            if offsets != reported:
                try:
                    await self._duty.report(offsets)
                    reported = offsets
                except StoreError as error:
                    where = {"role": self._fence.role}
                    logger.warning("%s; its positions are reported later", error, extra=where)
            await self._clock.wait(asyncio.Event(), REPORT)

    def _recovery(self) -> DeliveryRecovery[E]:
        return DeliveryRecovery(
            self._duty.log,
            self._intake.partitions.values(),
            IN_FLIGHT,
            partial(self._intake.receive, suffix="-recovery"),
            self._intake.take,
            self._order.arrive,
            self._suspect,
            self._commits,
            self._observation,
            self._clock,
            self._intake.positions,
            self._intake.receive_claimed,
        )

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            self._tasks.create_task(coroutine)
        except RuntimeError:  # the role is ending, so nothing new begins
            coroutine.close()

    # --- deliveries -----------------------------------------------------------------------------

    def _start(self, delivery: Delivery[E]) -> None:
        self._fresh.start(delivery)

    async def _call(self, delivery: Delivery[E]) -> Failure[E] | None:
        return await self._duty.handler.call(delivery)

    def _call_entry(self, lane: Lane, place: tuple[int, int], event_id: str) -> None:
        self._retries.call(lane, place, event_id)

    def _put_behind(self, delivery: Delivery[E]) -> None:
        """Set aside an event that waits for an earlier one of its key."""
        entry = self._retries.entry(delivery, attempt=0, error="", retry_in=POSTPONED, runs=False)
        self._set_aside(delivery, entry)

    def _suspect(self, delivery: Delivery[E], partition: Partition) -> None:
        """Set aside an event during which the process of an earlier holder may have died."""
        assert partition.in_doubt is not None, "only such partitions have suspects"
        entry = self._retries.suspected(delivery, partition.in_doubt.holder)
        if entry.retry_in is not None:
            self._order.hold(delivery.lane, delivery.place, delivery.item.id)
        partition.suspects.discard(delivery.item.offset)
        self._set_aside(delivery, entry)

    def _set_aside(self, delivery: Delivery[E], entry: NewSetAside) -> None:
        if entry.retry_in is None:
            text, where = "%s: event %s: %s. It is a dead letter now.", {"role": self._fence.role}
            event_id = visible(delivery.item.id)
            logger.error(text, self._fence.role, event_id, entry.error, extra=where)
        self._commits.add(Change(delivery=delivery, set_aside=entry))
        delivery.ended.set()

    def _running_entry(self, delivery: Delivery[E]) -> NewSetAside:
        return self._retries.entry(
            delivery, attempt=delivery.attempt, error="", retry_in=0.0, runs=True
        )

    # --- the end --------------------------------------------------------------------------------

    def _withdraw(self) -> None:
        """Leave the events that have not begun to the next holder."""
        waiting = [*self._order.withdraw(), *self._fresh.withdraw(), *self._retries.withdraw()]
        for delivery in waiting:
            if delivery.phase is Phase.WAITING:
                self._commits.forget(delivery)

    def _leave(self) -> None:
        """End the orderly stop: give attempts back, and leave other events."""
        for delivery in self._abandon():
            if delivery.is_aside:
                entry = self._retries.give_back(delivery)
                self._commits.add(Change(delivery=delivery, set_aside=entry))
            else:
                self._commits.forget(delivery)

    def _abandon(self) -> list[Delivery[E]]:
        return [*self._fresh.abandon(), *self._again.abandon()]

    async def _close(self) -> None:
        await self._fresh.close()
        await self._again.close()
