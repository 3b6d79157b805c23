"""Groups of writes as one script takes them, and its answers."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from workflow_ray.errors import WriteRejected
from workflow_ray.records import (
    ActiveRun,
    Committed,
    Conflict,
    Event,
    Fenced,
    GroupResult,
    KeyUsed,
    NewRun,
    NewTimeout,
    OutgoingEvent,
    RunId,
    Stored,
    TimeoutKey,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    check_write,
)
from workflow_ray_adapters.redis.positions import pack
from workflow_ray_adapters.redis.rows import (
    NewTimeoutRow,
    Origin,
    encode,
    entry_of,
    microseconds,
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


class _Batch:
    def __init__(self) -> None:
        self.data: list[bytes] = []

    def group(self, group: WriteGroup) -> Plain:
        return [
            [group.fence.role, str(group.fence.epoch)] if group.fence else False,
            [self._write(write) for write in group.writes],
            [pack(position) for position in group.positions],
            [_event(event) for event in group.events],
            group.timeouts_apart,
        ]

    def _write(self, write: Write) -> Plain:
        check_write(write)
        if write.data is not None:
            self.data.append(write.data)
        return [
            write.run_id,
            str(write.expected),
            str(write.version),
            write.write_id,
            str(int(write.status)),
            str(int(write.run_state)),
            write.run_state.at_rest,
            write.run_state.finished,
            str(int(write.awaits)),
            write.asks,
            encode(entry_of(write)),
            0 if write.data is None else len(self.data),
            _new(write.run_id, write.new) if write.creates and write.new else False,
            [_outgoing(write, outgoing) for outgoing in write.events],
            [_timeout(write, timeout) for timeout in write.timeouts],
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


def results(groups: Sequence[WriteGroup], answers: Sequence[list[bytes]]) -> list[GroupResult]:
    return [_group_result(group, answer) for group, answer in zip(groups, answers, strict=True)]


def _group_result(group: WriteGroup, answer: list[bytes]) -> GroupResult:
    if group.fence and answer[:1] == [b"f"]:
        return Fenced(group.fence.role, int(answer[1]))
    return Committed(
        tuple([_write_result(*each) for each in zip(group.writes, answer, strict=True)])
    )


def _write_result(write: Write, answer: bytes) -> WriteResult:
    """Decode the answer to a write: a letter, and the version or run that the write met."""
    letter, met = answer[:1], answer[1:]
    match letter:
        case b"c":
            return Conflict(write.run_id, Version(int(met)))
        case b"k":
            first = origin(met)
            return KeyUsed(write.run_id, first.run_id, first.digest)
        case b"a":
            return ActiveRun(write.run_id, RunId(met.decode()))
        case _:
            return Stored(write.run_id, write.version)
