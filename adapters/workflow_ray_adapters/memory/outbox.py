"""Events committed and not yet published."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush, heapreplace
from typing import TypeAlias

from workflow_ray.records import Event, OutboxEntry, OutgoingEvent, RunId, Topic, Write

Lane: TypeAlias = tuple[Topic, int]  # a topic's partition: within it, entries leave in the order they were committed


class Outbox:
    """Entries by id, which here is the order of commit. Heaps tell which are to be published, and which get due next."""

    def __init__(self) -> None:
        self._entries: dict[int, OutboxEntry] = {}
        self._last = 0
        self._ready: dict[Lane, list[int]] = {}  # a heap each, none of them empty
        self._delayed: list[tuple[datetime, int]] = []

    def add_all(self, write: Write, now: datetime) -> None:
        """The events that a write asks for."""
        for outgoing in write.events:
            self.add(_event(write, outgoing), now + timedelta(seconds=outgoing.delay) if outgoing.delay > 0 else None)

    def add(self, event: Event, due_at: datetime | None = None) -> None:
        self._last += 1
        entry = self._entries[self._last] = OutboxEntry(id=self._last, event=event, due_at=due_at)
        if due_at is None:
            self._line_up(entry)
        else:
            heappush(self._delayed, (due_at, entry.id))

    def peek(self, now: datetime, limit: int, without: Collection[Lane]) -> list[OutboxEntry]:
        """Up to `limit` entries that are due, in commit order; none of the topics and partitions in `without`."""
        entries = self.pop(now, limit, without)
        for entry in entries:
            self._entries[entry.id] = entry
            self._line_up(entry)
        return entries

    def pop(self, now: datetime, limit: int, without: Collection[Lane] = ()) -> list[OutboxEntry]:
        """Like peek, and removes them."""
        self._ripen(now)
        entries: list[OutboxEntry] = []
        heads = [(ids[0], lane) for lane, ids in self._ready.items() if lane not in without]
        heapify(heads)
        while heads and len(entries) < limit:
            lane = heads[0][1]
            ids = self._ready[lane]
            if entry := self._entries.pop(heappop(ids), None):  # None: it was removed while it stood in line
                entries.append(entry)
            if ids:
                heapreplace(heads, (ids[0], lane))
            else:
                heappop(heads)
                del self._ready[lane]
        return entries

    def remove(self, ids: Iterable[int]) -> None:
        for entry_id in ids:
            self._entries.pop(entry_id, None)

    def next_due(self) -> datetime | None:
        """When the next delayed entry gets due."""
        return self._delayed[0][0] if self._delayed else None

    def awaited(self) -> set[RunId]:
        """The runs that some entry will wake."""
        return {entry.event.run_id for entry in self._entries.values()}

    def delayed(self, now: datetime) -> list[OutboxEntry]:
        """Those not yet due, the next one first."""
        waiting = [self._entries.get(entry_id) for due_at, entry_id in sorted(self._delayed) if due_at > now]
        return [entry for entry in waiting if entry]

    def _line_up(self, entry: OutboxEntry) -> None:
        heappush(self._ready.setdefault((entry.event.topic, entry.event.partition), []), entry.id)

    def _ripen(self, now: datetime) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            entry_id = heappop(self._delayed)[1]
            if entry := self._entries.get(entry_id):
                self._line_up(entry)


def _event(write: Write, outgoing: OutgoingEvent) -> Event:
    return Event(
        run_id=write.run_id,
        topic=outgoing.topic,
        partition=outgoing.partition,
        version=write.version,
        status=write.status,
        headers=outgoing.headers,
    )
