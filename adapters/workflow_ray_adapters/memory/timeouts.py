"""Timeouts, by the status that waits for them."""

from bisect import insort
from collections.abc import Collection, Iterable
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import TypeAlias

from workflow_ray.records import RunId, Timeout, TimeoutKey, Version

Lane: TypeAlias = tuple[str, int, int]  # a workflow, a status of it, and a partition
Place: TypeAlias = tuple[datetime, RunId, Version, str]  # among those of a lane


class Timeouts:
    """Each that there ever was, and, of those not completed, each lane's in order."""

    def __init__(self) -> None:
        self._known: dict[TimeoutKey, Timeout] = {}
        self._open: dict[Lane, list[Place]] = {}

    def add(self, timeouts: Iterable[Timeout]) -> None:
        for timeout in timeouts:
            if timeout.key not in self._known:
                self._known[timeout.key] = timeout
                insort(self._open.setdefault(_lane(timeout), []), _place(timeout))

    def complete(self, keys: Iterable[TimeoutKey]) -> None:
        for key in keys:
            timeout = self._known.get(key)
            if timeout and (place := _place(timeout)) in (places := self._open[_lane(timeout)]):
                places.remove(place)

    def due(self, workflow: str, status: int, partitions: Collection[int], now: datetime, limit: int) -> list[Timeout]:
        places = merge(*(self._open.get((workflow, status, partition), ()) for partition in partitions))
        due = (TimeoutKey(run_id, visit, name) for due_at, run_id, visit, name in places if due_at <= now)
        return [self._known[key] for key in islice(due, limit)]

    def next_due(self, workflow: str, status: int, partitions: Collection[int]) -> datetime | None:
        """When the next of them gets due, or has."""
        firsts = [places[0] for partition in partitions if (places := self._open.get((workflow, status, partition)))]
        return min(firsts)[0] if firsts else None


def _lane(timeout: Timeout) -> Lane:
    return timeout.workflow, timeout.status, timeout.partition


def _place(timeout: Timeout) -> Place:
    return timeout.due_at, timeout.key.run_id, timeout.key.visit, timeout.key.name
