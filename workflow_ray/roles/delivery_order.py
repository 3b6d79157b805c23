"""The order in which the events of one key are delivered."""

from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic

from workflow_ray.roles.delivery import Delivery, E, Lane


@dataclass(slots=True)
class _Queue(Generic[E]):
    """The events of one key in one partition."""

    running: Delivery[E] | None = None
    waiting: deque[Delivery[E]] = field(default_factory=lambda: deque[Any]())  # from the log
    # the events that are set aside, in order, each with its id
    aside: list[tuple[tuple[int, int], str]] = field(
        default_factory=list[tuple[tuple[int, int], str]]
    )


class Order(Generic[E]):
    """Lets one event of each key run at a time, in the order of the log.

    While an event is set aside, those after it are set aside behind it. Events without a key have
    no order, nor has any event if `is_kept` is False.

    Args:
        is_kept: Whether there is an order.
        start: Starts a delivery.
        put_behind: Sets aside a delivery that waits for an earlier one.
        call: Called with the id and the place of the next entry whose turn it is, and its lane.
    """

    def __init__(
        self,
        is_kept: bool,
        start: Callable[[Delivery[E]], None],
        put_behind: Callable[[Delivery[E]], None],
        call: Callable[[Lane, tuple[int, int], str], None],
    ) -> None:
        self._is_kept = is_kept
        self._start = start
        self._put_behind = put_behind
        self._call = call
        self._queues: dict[Lane, _Queue[E]] = {}

    @property
    def is_kept(self) -> bool:
        return self._is_kept

    def hold(self, lane: Lane, place: tuple[int, int], event_id: str) -> None:
        """Note an event that is set aside: later ones of its key wait for it."""
        if self._is_kept and lane[1]:
            queue = self._queues.setdefault(lane, _Queue())
            if (place, event_id) not in queue.aside:
                insort(queue.aside, (place, event_id))

    def arrive(self, delivery: Delivery[E]) -> None:
        """Start an event of the log, or let it wait."""
        if not self._is_kept or not delivery.item.key:
            self._start(delivery)
            return
        queue = self._queues.setdefault(delivery.lane, _Queue())
        if queue.aside:
            self._behind(queue, delivery)
        elif queue.running is not None:
            queue.waiting.append(delivery)
        else:
            queue.running = delivery
            self._start(delivery)

    def is_next(self, delivery: Delivery[E]) -> bool:
        """Whether an event that is set aside may run now. Then it counts as running."""
        if not self._is_kept or not delivery.item.key:
            return True
        self.hold(delivery.lane, delivery.place, delivery.item.id)
        queue = self._queues[delivery.lane]
        if queue.running is not None or queue.aside[0][0] != delivery.place:
            return False
        queue.running = delivery
        return True

    def ended(self, delivery: Delivery[E], *, remains: bool) -> None:
        """Go on with the events after this one.

        Args:
            delivery: It has ended.
            remains: It was set aside for another attempt, so that those after it wait.
        """
        queue = self._queues.get(delivery.lane)
        if queue is None or queue.running is not delivery:
            return
        queue.running = None
        if remains:
            self.hold(delivery.lane, delivery.place, delivery.item.id)
            while queue.waiting:
                self._behind(queue, queue.waiting.popleft())
            return
        mine = (delivery.place, delivery.item.id)
        queue.aside = [entry for entry in queue.aside if entry != mine]
        if queue.aside:
            self._call(delivery.lane, *queue.aside[0])
        elif queue.waiting:
            queue.running = queue.waiting.popleft()
            self._start(queue.running)
        else:
            del self._queues[delivery.lane]

    def gone(self, lane: Lane, place: tuple[int, int], event_id: str) -> None:
        """Forget an entry that is not there any more, or is a dead letter."""
        queue = self._queues.get(lane)
        if queue is None or (place, event_id) not in queue.aside:
            return
        queue.aside.remove((place, event_id))
        if queue.running is not None:
            return
        if queue.aside:
            self._call(lane, *queue.aside[0])
        else:
            del self._queues[lane]

    def withdraw(self) -> list[Delivery[E]]:
        """Take back the events that wait for another one of their key, and return them."""
        waiting = [delivery for queue in self._queues.values() for delivery in queue.waiting]
        for queue in self._queues.values():
            queue.waiting.clear()
        return waiting

    def _behind(self, queue: _Queue[E], delivery: Delivery[E]) -> None:
        insort(queue.aside, (delivery.place, delivery.item.id))
        self._put_behind(delivery)
