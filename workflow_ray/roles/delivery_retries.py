"""The events that a deliverer has set aside: each is tried again when it is due."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any, Generic

import msgspec

from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    Fence,
    NewSetAside,
    SetAside,
    SetAsideKey,
    SetAsideQuery,
    read_set_aside,
)
from workflow_ray.roles.delivering import Delivering
from workflow_ray.roles.delivery import Delivery, E, Handler, Lane, Log, Phase
from workflow_ray.roles.delivery_commits import Change, Commits
from workflow_ray.roles.delivery_entries import entry_of
from workflow_ray.roles.delivery_order import Order
from workflow_ray.roles.observation import OBSERVED, Observation
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

log = logging.getLogger(__name__)

AT_ONCE = 20
"""The most events that are tried again at a time, beside those that come from the log."""
FIRST_POLL, LONGEST_POLL = 0.05, 1.0
"""The shortest and the longest time between two reads of the entries that are due, in seconds."""
POSTPONED = 3600.0
"""The seconds after which an entry is looked at again whose turn does not come before."""
DIED = "its process died while this event was tried"


class Retries(Generic[E]):
    """Runs the entries that are due.

    Before an entry runs, it is marked as running under this holder's fence. A later holder that
    finds the mark of another fence counts an attempt before it runs the entry, and runs it alone.
    So an event that kills its process uses up its attempts, and its neighbours lose none.

    Args:
        fence: The role's.
        group: The role's group.
        partitions: Those that the role owns. They may become more.
        events: The log, which converts what is stored.
        handler: What is called.
        records: Where the entries are.
        commits: Commits changes.
        order: The order of the events of one key.
        delivering: Runs the deliveries.
        observation: Shared by the roles of this process and event loop.
        clock: Measures waits.
        died: Called with a delivery whose attempts are used up by processes that died.
        spawn: Starts a task whose errors end the role.
    """

    def __init__(
        self,
        fence: Fence,
        group: str,
        partitions: Collection[int],
        events: Log[E],
        handler: Handler[E],
        records: RecordStore,
        commits: Commits[E],
        order: Order[E],
        delivering: Delivering[E],
        observation: Observation,
        clock: Clock,
        died: Callable[[Delivery[E]], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._fence = fence
        self._group = group
        self._partitions = partitions
        self._events = events
        self._handler = handler
        self._records = records
        self._commits = commits
        self._order = order
        self._delivering = delivering
        self._spawn = spawn
        self._observation = observation
        self._clock = clock
        self._died = died
        self._in_hand = dict[SetAsideKey, Delivery[E]]()
        self._postponed = set[SetAsideKey]()
        self._alone = asyncio.Lock()
        self._is_withdrawn = False
        self._marked = set[Delivery[E]]()  # as running, and not launched yet

    async def hold_all(self) -> None:
        """Note which keys have entries, so that later events of these keys wait for them."""
        query = SetAsideQuery(group=self._group, partitions=tuple(self._partitions))
        while page := await self._read(query, 0.0):
            for entry in page:
                if entry.due_at is not None:
                    item = self._delivery(entry).item
                    place = entry.key.incarnation, entry.key.offset
                    self._order.hold((item.partition, item.key), place, item.id)
            query = msgspec.structs.replace(query, after=page[-1].key)

    async def run(self, stop: asyncio.Event) -> None:
        """Run entries when they are due, until `stop`."""
        pause = FIRST_POLL
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                started = await until_stopped.wait(self._start_due)
                pause = FIRST_POLL if started else min(2 * pause, LONGEST_POLL)
                if not started:
                    settled = self._commits.next_settled()
                    await until_stopped.wait(partial(self._clock.wait, settled, pause))

    def call(self, lane: Lane, place: tuple[int, int], event_id: str) -> None:
        """Run the entry if it waited for the one before it. Otherwise it has a due time."""
        self._spawn(self._called(lane, place, event_id))

    def entry(
        self, delivery: Delivery[E], *, attempt: int, error: str, retry_in: float, runs: bool
    ) -> NewSetAside:
        """Make the entry of a delivery that will run again, or runs now."""
        packed = self._events.pack(delivery.item.event, self._fence if runs else None)
        return entry_of(delivery, packed, attempt=attempt, error=error, retry_in=retry_in)

    def suspected(self, delivery: Delivery[E], holder: Fence) -> NewSetAside:
        """Make the entry of an event during which the process of another holder may have died."""
        packed = self._events.pack(delivery.item.event, holder)
        return entry_of(delivery, packed, attempt=0, error=DIED, retry_in=0.0)

    def give_back(self, delivery: Delivery[E]) -> NewSetAside:
        """Make the entry of a delivery that an orderly stop has abandoned."""
        attempt = delivery.attempt - 1 if delivery.counted else delivery.attempt
        return self.entry(delivery, attempt=attempt, error="", retry_in=0.0, runs=False)

    # --- reading --------------------------------------------------------------------------------

    async def _read(self, query: SetAsideQuery, wait: float) -> list[SetAside]:
        return await persist(
            lambda: self._records.set_aside(query, wait=wait), self._clock, self._fence.role
        )

    async def _start_due(self) -> bool:
        """Start the entries that are due, or wait for the first one. Returns whether one started.

        Entries in hand are due as well, so that reading does not wait while there are any.
        """
        self._drop_ended()
        room = AT_ONCE - len(self._in_hand)
        if room <= 0:
            await self._commits.next_settled().wait()
            return True
        if not self._partitions:
            return False
        known = self._commits.aside()
        query = SetAsideQuery(
            group=self._group,
            due=True,
            partitions=tuple(self._partitions),
            limit=len(known) + AT_ONCE,
        )
        with self._commits.own_writes.noted() as settled:
            page = await self._read(query, 0.0 if known else LONG_POLL)
        known = self._commits.aside() | settled.keys()
        now = self._clock.now()
        due = [
            entry
            for entry in page
            if entry.due_at is not None and entry.due_at <= now and entry.key not in known
        ]
        return await self._start(due[:room])

    def _drop_ended(self) -> None:
        """Forget entries whose deliveries are committed."""
        self._in_hand = {
            key: delivery
            for key, delivery in self._in_hand.items()
            if delivery in self._commits.in_hand
        }

    async def _called(self, lane: Lane, place: tuple[int, int], event_id: str) -> None:
        if self._is_withdrawn:
            return
        await self._commits.flush()  # the entry may wait for its commit
        query = SetAsideQuery(group=self._group, event_id=event_id, partitions=(lane[0],))
        with self._commits.own_writes.noted() as settled:
            page = await self._read(query, 0.0)
        found = [entry for entry in page if (entry.key.incarnation, entry.key.offset) == place]
        if not found or found[0].due_at is None:
            self._order.gone(lane, place, event_id)
            return
        entry = found[0]
        is_late = entry.attempt == 0 or entry.key in self._postponed
        if is_late and entry.key not in self._commits.aside() | settled.keys():
            await self._start([entry])

    def _delivery(self, entry: SetAside) -> Delivery[E]:
        packed = read_set_aside(entry.key.group, entry.event)
        item = self._events.unpack(entry.key, entry.event_id, packed)
        return Delivery(item, entry.key, entry.attempt)

    # --- running --------------------------------------------------------------------------------

    async def _start(self, entries: Sequence[SetAside]) -> bool:
        """Mark entries as running, then run them. Returns whether there were any."""
        if self._is_withdrawn:
            return False
        ready = list[Delivery[E]]()
        for entry in entries:
            holder = read_set_aside(entry.key.group, entry.event).running
            delivery = self._delivery(entry)
            if not self._order.is_next(delivery):
                # its turn comes when the one before it is done
                late = self.entry(
                    delivery,
                    attempt=entry.attempt,
                    error=entry.error,
                    retry_in=POSTPONED,
                    runs=False,
                )
                self._postponed.add(entry.key)
                self._commits.add(Change(set_aside=late))
                continue
            self._postponed.discard(entry.key)
            self._in_hand[entry.key] = delivery
            self._commits.take(delivery)
            if holder is not None and holder != self._fence:
                self._spawn(self._run_alone(delivery))
            else:
                ready.append(delivery)
                self._marked.add(delivery)
                mark = self.entry(
                    delivery, attempt=entry.attempt, error=entry.error, retry_in=0.0, runs=True
                )
                self._commits.add(Change(set_aside=mark))
        if entries:
            await self._commits.flush()
        for delivery in ready:
            self._launch(delivery)
        return bool(entries)

    def _launch(self, delivery: Delivery[E]) -> None:
        """Run a delivery that was marked as running, unless it was given back meanwhile."""
        if delivery in self._marked:
            self._marked.remove(delivery)
            if self._delivering.closed:
                self._return(delivery)
            else:
                self._delivering.launch(delivery)

    async def _run_alone(self, delivery: Delivery[E]) -> None:
        """Count an attempt, then run the delivery while no other in-doubt one runs.

        It is counted once, whether it fails or kills the process.
        """
        async with self._alone, self._observation.alone():
            if delivery.phase is not Phase.WAITING or self._delivering.closed:
                return  # the role is ending
            retry = self._handler.retry(delivery.item.event)
            if delivery.attempt >= retry.attempts:
                self._died(delivery)
                return
            delivery.attempt += 1
            delivery.counted = True
            delay = retry.delay(delivery.item.id, delivery.attempt)
            counted = self.entry(
                delivery, attempt=delivery.attempt, error=DIED, retry_in=delay, runs=True
            )
            self._marked.add(delivery)
            await self._commits.flush(Change(set_aside=counted))
            self._launch(delivery)
            await self._clock.wait(delivery.ended, OBSERVED)

    def _return(self, delivery: Delivery[E]) -> None:
        """Give the delivery back before it has begun."""
        self._commits.add(Change(delivery=delivery, set_aside=self.give_back(delivery)))
        delivery.ended.set()

    def withdraw(self) -> list[Delivery[E]]:
        """Start no further entry, and give those back that are marked as running and have not
        begun. Returns those in hand that wait to run alone.
        """
        self._is_withdrawn = True
        for delivery in self._marked:
            self._return(delivery)
        self._marked.clear()
        return [delivery for delivery in self._in_hand.values() if delivery.phase is Phase.WAITING]
