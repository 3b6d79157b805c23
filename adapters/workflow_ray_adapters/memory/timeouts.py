"""Timeouts, by the status that waits for them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import TypeAlias

from workflow_ray.records import RunId, Timeout, TimeoutKey, Version

Wait: TypeAlias = tuple[str, int, int]  # a workflow, its status, and a partition
Place: TypeAlias = tuple[datetime, RunId, Version, str]  # the order within one key


class Timeouts:
    """Every timeout that is known. Those that are not completed are sorted."""

    def __init__(self) -> None:
        self._known: dict[TimeoutKey, Timeout] = {}
        self._of_run: dict[RunId, dict[TimeoutKey, None]] = {}
        self._open: dict[Wait, list[Place]] = {}
        # in the order in which they were completed
        self._completed: dict[TimeoutKey, datetime] = {}

    def add(self, timeouts: Iterable[Timeout]) -> None:
        for timeout in timeouts:
            if timeout.key not in self._known:
                self._known[timeout.key] = timeout
                self._of_run.setdefault(timeout.key.run_id, {})[timeout.key] = None
                insort(self._open.setdefault(_wait(timeout), []), _place(timeout))

    def complete(self, keys: Iterable[TimeoutKey], now: datetime) -> None:
        for key in keys:
            if (timeout := self._known.get(key)) and key not in self._completed:
                self._close(timeout)
                self._completed[key] = now

    def trim(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` timeouts that were completed by then, and return how many."""
        keys = list(islice((key for key, at in self._completed.items() if at <= before), limit))
        for key in keys:
            del self._completed[key], self._known[key], self._of_run[key.run_id][key]
            if not self._of_run[key.run_id]:
                del self._of_run[key.run_id]
        return len(keys)

    def remove(self, run_id: RunId) -> None:
        """Forget the timeouts of a run, completed or not."""
        for key in list(self._of_run.pop(run_id, ())):
            if key not in self._completed:
                self._close(self._known[key])
            del self._known[key]
            self._completed.pop(key, None)

    def _close(self, timeout: Timeout) -> None:
        places = self._open[_wait(timeout)]
        del places[bisect_left(places, _place(timeout))]

    def due(
        self,
        workflow: str,
        status: int,
        partitions: Collection[int],
        now: datetime,
        limit: int,
        after: Timeout | None,
    ) -> list[Timeout]:
        places = merge(
            *(self._from(after, (workflow, status, partition)) for partition in partitions)
        )
        due = (
            TimeoutKey(run_id, visit, name)
            for due_at, run_id, visit, name in places
            if due_at <= now
        )
        return [self._known[key] for key in islice(due, limit)]

    def pending(self) -> list[Timeout]:
        """Return those that are not completed, the next one first."""
        return [
            self._known[TimeoutKey(run_id, visit, name)]
            for _, run_id, visit, name in merge(*self._open.values())
        ]

    def next_due(
        self, workflow: str, status: int, partitions: Collection[int], after: Timeout | None
    ) -> datetime | None:
        """Return when the next timeout is due, or was due."""
        firsts = [
            next(self._from(after, (workflow, status, partition)), None) for partition in partitions
        ]
        return min((first[0] for first in firsts if first), default=None)

    def _from(self, after: Timeout | None, wait: Wait) -> Iterator[Place]:
        places = self._open.get(wait, [])
        start = bisect_right(places, _place(after)) if after else 0
        return (places[at] for at in range(start, len(places)))


def _wait(timeout: Timeout) -> Wait:
    return timeout.workflow, timeout.status, timeout.partition


def _place(timeout: Timeout) -> Place:
    return timeout.due_at, timeout.key.run_id, timeout.key.visit, timeout.key.name
