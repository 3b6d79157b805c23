"""One store that is made of several, for records, events and timeouts."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from workflow_ray.ports import (
    EventStreamer,
    OutboxMover,
    PositionMirror,
    Records,
    Store,
    TimeoutStore,
    Trimmer,
    WholeStore,
)
from workflow_ray.records import (
    CONSUMER,
    Committed,
    GroupResult,
    Position,
    Topic,
    Write,
    WriteGroup,
    hooks_group,
    run_state_topic,
)
from workflow_ray.runtime.two_timeout_stores import TwoTimeoutStores


class MovingStore(Store, OutboxMover, Protocol):
    """A store that holds records and events, so that they move inside it."""


def mixed(records: Records, events: EventStreamer | None, timeouts: TimeoutStore | None) -> Store:
    """Combine the parts to one store. It is an OutboxMover if the records' store holds the events.

    Args:
        records: The records' store.
        events: The events' store. None: the records' store, a WholeStore, holds them.
        timeouts: The timeouts' store. None: the records' store, a WholeStore, holds them.
    """
    if events is not None and timeouts is not None:
        return EventsApart(records, events, timeouts)
    if not isinstance(records, WholeStore):
        raise TypeError(f"{records!r} holds records only")
    if events is not None:
        return EventsApart(records, events, records)
    return records if timeouts is None else TimeoutsApart(records, timeouts)


def keeps_timeouts_apart(store: Store) -> bool:
    """Whether the timeouts are in another store than the records, so that a publisher has to move
    them.
    """
    return bool(getattr(store, "timeouts_apart", False))


class _Mixed:
    """Has the methods of each part, unchanged."""

    def __init__(self, records: Records, events: EventStreamer, timeouts: TimeoutStore) -> None:
        self.store_id = records.store_id
        self.stream_id = events.stream_id
        self.lookup = records.lookup
        self.latest = records.latest
        self.runs = records.runs
        self.counts = records.counts
        self.history = records.history
        self.watch = records.watch
        self.messages = records.messages
        self.results = records.results
        self.set_aside = records.set_aside
        self.waiting = records.waiting
        self.parked = records.parked
        self.activity = records.activity
        self.pending = records.pending
        self.published = records.published
        self.positions = records.positions
        self.deployment = records.deployment
        self.deploy = records.deploy
        self.acquire = records.acquire
        self.release = records.release
        self.share = records.share
        self.leave = records.leave
        self.prepare = events.prepare
        self.send = events.send
        self.receive = events.receive
        self.lag = events.lag
        self.ends = events.ends
        held = _held(timeouts, records)
        self.create = held.create
        self.due = held.due
        self.complete = held.complete
        self.trim_timeouts = held.trim_timeouts
        if isinstance(events, Trimmer):
            self.trim = events.trim


class TimeoutsApart(_Mixed):
    """Records and events in one store, timeouts in another: a publisher moves the timeouts."""

    timeouts_apart = True

    def __init__(self, whole: MovingStore, timeouts: TimeoutStore) -> None:
        super().__init__(whole, whole, timeouts)
        self._whole = whole
        self.move = whole.move

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """See RecordStore."""
        return await self._whole.store([_with_timeouts_apart(group) for group in groups])


class EventsApart(_Mixed):
    """Records in one store, events in another: a publisher moves the events.

    A position names the log that its offset counts in. In another log consumers begin at its start,
    and the sweeper sends again the events of the earlier log that were not finished.
    """

    def __init__(self, records: Records, events: EventStreamer, timeouts: TimeoutStore) -> None:
        super().__init__(records, events, timeouts)
        self._records = records
        self.timeouts_apart = not (isinstance(records, WholeStore) and timeouts is records)
        self._mirror = events if isinstance(events, PositionMirror) else None

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """See RecordStore. Committed positions are shown to a streamer that mirrors them."""
        answers = await self._records.store([self._apart(group) for group in groups])
        if self._mirror is not None:
            for group, answer in zip(groups, answers, strict=True):
                if isinstance(answer, Committed):
                    _show(group.positions, self._mirror)
        return answers

    def _apart(self, group: WriteGroup) -> WriteGroup:
        return _with_timeouts_apart(group) if self.timeouts_apart else group


def _with_timeouts_apart(group: WriteGroup) -> WriteGroup:
    """Return the group with its timeouts marked for the outbox."""
    return (
        msgspec.structs.replace(group, timeouts_apart=True)
        if any(_has_timeouts(write) for write in group.writes)
        else group
    )


def _has_timeouts(write: Write) -> bool:
    return bool(write.timeouts) or any(child.write.timeouts for child in write.children)


def _held(timeouts: TimeoutStore, records: Records) -> TimeoutStore:
    """Return the store of timeouts, with those that clients have left with the records."""
    if not isinstance(records, WholeStore) or timeouts is records:
        return timeouts
    return TwoTimeoutStores(timeouts, records)


def _show(positions: Sequence[Position], mirror: PositionMirror) -> None:
    for group in dict.fromkeys(position.group for position in positions):
        if topic := _topic_of(group):
            mirror.mirror(topic, [position for position in positions if position.group == group])


def _topic_of(group: str) -> Topic | None:
    """Return the topic that the group reads. None: it reads none, as connectors and schedules."""
    for suffix, topic_suffix in ((f"-{CONSUMER}", ""), (hooks_group(""), run_state_topic(""))):
        if group.endswith(suffix):
            return Topic(group.removesuffix(suffix) + topic_suffix)
    return None
