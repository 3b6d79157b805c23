"""Groups of writes as one script takes them, and its answers."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from workflow_ray.errors import WriteRejected
from workflow_ray.records import (
    ActiveRun,
    ChildRefused,
    Committed,
    Conflict,
    Event,
    Fenced,
    GroupResult,
    KeyUsed,
    MessageGone,
    NewChild,
    NewRun,
    NewTimeout,
    OutgoingEvent,
    Removal,
    RunId,
    Stored,
    TimeoutKey,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    check_group,
)
from workflow_ray_adapters.redis import messages, set_asides
from workflow_ray_adapters.redis.outbox_rows import NewTimeoutRow
from workflow_ray_adapters.redis.parking import place_of
from workflow_ray_adapters.redis.positions import pack
from workflow_ray_adapters.redis.rows import (
    Origin,
    encode,
    entry_of,
    microseconds,
    numbers,
    origin,
    text,
)
from workflow_ray_adapters.redis.timeouts import name_of, queues_of

Plain: TypeAlias = list[Any]


def arguments(groups: Sequence[WriteGroup]) -> list[str | bytes]:
    """Return the arguments of the script after the time: the groups, and then the data.

    The data is separate, so that the script does not unpack it.

    Raises WriteRejected.
    """
    batch = _Batch()
    try:
        pack = msgspec.msgpack.encode([batch.group(group) for group in groups])
    except (UnicodeEncodeError, OverflowError) as error:  # text that isn't UTF-8, or huge numbers
        raise WriteRejected(str(error)) from error
    return [pack, *batch.data]


def only_remove(groups: Sequence[WriteGroup]) -> bool:
    """Whether the groups only free memory, so that they may do it where it is full."""
    return all(group == WriteGroup(removals=group.removals, fence=group.fence) for group in groups)


class _Batch:
    def __init__(self) -> None:
        self.data: list[bytes] = []

    def group(self, group: WriteGroup) -> Plain:
        check_group(group)
        return [
            [group.fence.role, str(group.fence.epoch)] if group.fence else False,
            [self._write(write) for write in group.writes],
            [pack(position) for position in group.positions],
            [
                *map(_event, group.events),
                *(_event(later.event, later.delay) for later in group.postponed),
            ],
            group.timeouts_apart,
            self._rest(group),
        ]

    def _rest(self, group: WriteGroup) -> Plain | bool:
        """Return what few groups have."""
        if not (
            group.messages
            or group.failures
            or group.results
            or group.expires
            or group.set_aside
            or group.taken_back
            or group.removals
        ):
            return False
        return [
            [messages.new_message(new, self._place(new.payload)) for new in group.messages],
            [messages.failed(failure) for failure in group.failures],
            [messages.once_result(new, self._add(new.result)) for new in group.results],
            list(group.expires),
            [
                *[set_asides.new_entry(new, self._add(new.event)) for new in group.set_aside],
                *map(set_asides.taken_back, group.taken_back),
            ],
            [_removal(removal) for removal in group.removals],
        ]

    def _add(self, data: bytes) -> int:
        self.data.append(data)
        return len(self.data)

    def _place(self, data: bytes | None) -> int:
        """Return the place of data; 0: there is none."""
        return self._add(data) if data else 0

    def _write(self, write: Write) -> Plain:
        return [
            write.run_id,
            str(write.expected),
            str(write.version),
            write.write_id,
            str(int(write.status)),
            str(int(write.run_state)),
            write.run_state.at_rest,
            write.run_state.finished,
            str(write.visit),
            str(int(write.awaits)),
            str(write.version if write.asks else write.awaited),
            encode(entry_of(write)),
            0 if write.data is None else self._add(write.data),
            _new(write.run_id, write.new) if write.creates and write.new else False,
            [_outgoing(write, outgoing) for outgoing in write.events],
            [_timeout(write, timeout) for timeout in write.timeouts],
            self._rest_of(write),
        ]

    def _rest_of(self, write: Write) -> Plain | bool:
        """Return what few writes have."""
        if not (
            write.takes
            or write.children
            or write.gatherings
            or write.parking is not None
            or write.labels is not None
            or write.data_version != 1
            or write.erases
        ):
            return False
        return [
            [[key.workflow, messages.name_of(key)] for key in write.takes],
            [self._child(child) for child in write.children],
            [[gathering.workflow, numbers(gathering.statuses)] for gathering in write.gatherings],
            write.by,
            place_of(write),
            False if write.labels is None else encode(write.labels) if write.labels else "",
            str(write.data_version),
            write.erases,
        ]

    def _child(self, child: NewChild) -> Plain:
        link = child.link
        return [
            self._write(child.write),
            numbers(link.statuses),
            numbers(link.gathered_at),
            link.cascades,
            child.joins,
        ]


def _removal(removal: Removal) -> Plain:
    return [
        removal.workflow,
        removal.runs,
        removal.histories,
        False if removal.keys_below is None else removal.keys_below,
    ]


def _new(run_id: RunId, new: NewRun) -> Plain:
    origin = Origin(
        run_id=run_id,
        workflow=new.workflow,
        foreign_id=new.foreign_id,
        partition=new.partition,
        idempotency_key=new.idempotency_key,
        digest=new.digest,
    )
    key = False if new.idempotency_key is None else new.idempotency_key
    return [new.workflow, new.foreign_id, key, str(new.partition), encode(origin)]


def _outgoing(write: Write, outgoing: OutgoingEvent) -> Plain:
    event = Event(
        run_id=write.run_id,
        topic=outgoing.topic,
        partition=outgoing.partition,
        version=write.version,
        status=write.status,
        headers=outgoing.headers,
    )
    return _event(event, outgoing.delay)


def _event(event: Event, delay: float = 0.0) -> Plain:
    return [
        event.run_id,
        f"{event.partition}:{event.topic}",
        microseconds(max(0.0, delay)),
        encode(event),
    ]


def _timeout(write: Write, timeout: NewTimeout) -> Plain:
    key = TimeoutKey(write.run_id, write.visit, timeout.name)
    row = NewTimeoutRow(
        key=key, workflow=timeout.workflow, status=write.status, partition=timeout.partition
    )
    (queue,) = queues_of(timeout.workflow, write.status, [timeout.partition])
    delay = False if timeout.at is not None else microseconds(max(0.0, timeout.after or 0.0))
    return [name_of(key), queue, delay, text(timeout.at) if timeout.at else False, encode(row)]


def results(groups: Sequence[WriteGroup], answers: Sequence[Plain]) -> list[GroupResult]:
    return [_group_result(group, answer) for group, answer in zip(groups, answers, strict=True)]


def _group_result(group: WriteGroup, answer: Plain) -> GroupResult:
    if group.fence and answer[:1] == [b"f"]:
        return Fenced(group.fence.role, int(answer[1]))
    written, posts, kept, removed = answer
    return Committed(
        tuple([_write_result(*each) for each in zip(group.writes, written, strict=True)]),
        tuple([messages.post_result(*each) for each in zip(group.messages, posts, strict=True)]),
        tuple([messages.once_answer(*each) for each in zip(group.results, kept, strict=True)]),
        tuple(removed),
    )


def _write_result(write: Write, answer: bytes) -> WriteResult:
    """Decode the answer to a write: a letter, and what the write met."""
    letter, met = answer[:1], answer[1:]
    match letter:
        case b"c":
            return Conflict(write.run_id, Version(int(met)))
        case b"k":
            first = origin(met)
            return KeyUsed(write.run_id, first.run_id, first.digest)
        case b"a":
            return ActiveRun(write.run_id, RunId(met.decode()))
        case b"g":
            return MessageGone(write.run_id, write.takes[int(met) - 1])
        case b"r":
            active, _, foreign_id = met.decode().partition("\0")
            return ChildRefused(write.run_id, foreign_id, RunId(active))
        case _:
            return Stored(write.run_id, write.version)
