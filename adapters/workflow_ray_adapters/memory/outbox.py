"""The outbox: entries that were committed and are not yet published."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush

from workflow_ray.records import Event, OutboxEntry, OutgoingEvent, RunId, Timeout, Write
from workflow_ray_adapters.memory.queues import TIMEOUTS, Queues, TopicPartition


class Outbox:
    """Entries by id. Ids are in commit order here."""

    def __init__(self) -> None:
        self._entries: dict[int, OutboxEntry] = {}
        self._last = 0
        self._events: Counter[RunId] = Counter()  # how many entries each run has
        self._delayed: list[tuple[datetime, int]] = []  # a heap of the entries that are not due yet
        self._due = Queues(self._entries)  # the entries that were delayed
        self._immediate = Queues(self._entries)
        self._due_first = True

    @property
    def added(self) -> int:
        """The number of entries that were ever added."""
        return self._last

    def add_all(self, write: Write, now: datetime) -> None:
        """Add the events of a write."""
        for outgoing in write.events:
            self.add(
                _event(write, outgoing),
                now + timedelta(seconds=outgoing.delay) if outgoing.delay > 0 else None,
            )

    def add(self, event: Event, due_at: datetime | None = None) -> None:
        self._last += 1
        entry = self._entries[self._last] = OutboxEntry(id=self._last, event=event, due_at=due_at)
        self._events[event.run_id] += 1
        if due_at is None:
            self._immediate.add(entry)
        else:
            heappush(self._delayed, (due_at, entry.id))

    def add_timeouts(self, timeouts: Iterable[Timeout]) -> None:
        for timeout in timeouts:
            self._last += 1
            entry = self._entries[self._last] = OutboxEntry(id=self._last, timeout=timeout)
            self._immediate.add(entry)

    def peek(
        self, now: datetime, limit: int, without: Collection[TopicPartition], *, timeouts_only: bool
    ) -> list[OutboxEntry]:
        """Return up to `limit` entries that are due, in commit order.

        Events of the topics and partitions in `without` are left out.
        """
        entries = self._pop(
            now, limit, lambda queue: queue == TIMEOUTS if timeouts_only else queue not in without
        )
        for entry in entries:
            (self._due if entry.due_at else self._immediate).add(entry)
        return entries

    def pop_events(self, now: datetime, limit: int) -> list[Event]:
        """Remove up to `limit` events that are due, in commit order."""
        entries = self._pop(now, limit, lambda queue: queue != TIMEOUTS)
        self.remove(entry.id for entry in entries)
        return [entry.event for entry in entries if entry.event]

    def remove(self, ids: Iterable[int]) -> None:
        for entry_id in ids:
            entry = self._entries.pop(entry_id, None)
            if entry and entry.event:
                self._events[entry.event.run_id] -= 1
                if not self._events[entry.event.run_id]:
                    del self._events[entry.event.run_id]

    def next_due(self) -> datetime | None:
        """Return when the next delayed entry is due."""
        return self._delayed[0][0] if self._delayed else None

    def wakes(self, run_id: RunId) -> bool:
        """Whether an entry will wake the run."""
        return run_id in self._events

    def delayed(self, now: datetime) -> list[OutboxEntry]:
        """Return the events that are not due yet, the next one first."""
        waiting = [
            self._entries.get(entry_id)
            for due_at, entry_id in sorted(self._delayed)
            if due_at > now
        ]
        return [entry for entry in waiting if entry]

    def _pop(
        self, now: datetime, limit: int, wanted: Callable[[TopicPartition], bool]
    ) -> list[OutboxEntry]:
        """Remove up to `limit` entries that are due and wanted from their queues.

        Delayed and immediate entries share the limit equally while there are both. The odd one is
        of each kind in turn, so that a limit of one starves neither.
        """
        self._ripen(now)
        first, second = (
            (self._due, self._immediate) if self._due_first else (self._immediate, self._due)
        )
        self._due_first = not self._due_first
        ids = first.pop(limit - limit // 2, wanted)
        ids += second.pop(limit - len(ids), wanted)
        ids += first.pop(limit - len(ids), wanted)
        return [self._entries[entry_id] for entry_id in sorted(ids)]

    def _ripen(self, now: datetime) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            entry_id = heappop(self._delayed)[1]
            if entry := self._entries.get(entry_id):
                self._due.add(entry)


def _event(write: Write, outgoing: OutgoingEvent) -> Event:
    return Event(
        run_id=write.run_id,
        topic=outgoing.topic,
        partition=outgoing.partition,
        version=write.version,
        status=write.status,
        headers=outgoing.headers,
    )
