"""Groups of writes as one script takes them, and its answers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
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
    OutgoingEvent,
    Position,
    RunId,
    Stored,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    check_write,
)
from workflow_ray_adapters.redis.rows import Origin, encode, entry_of, text

Plain: TypeAlias = list[Any]
AT_ONCE = ""  # the due time of what may be published right away


def arguments(groups: Sequence[WriteGroup], now: datetime) -> list[str | bytes]:
    """What the script gets: the time, the groups, and then the data, which stays out of what it unpacks. Raises WriteRejected."""
    batch = _Batch(now)
    try:
        packed = msgspec.msgpack.encode([batch.group(group) for group in groups])
    except (UnicodeEncodeError, OverflowError) as error:  # text that isn't UTF-8, or numbers that nothing can hold
        raise WriteRejected(str(error)) from error
    return [text(now), packed, *batch.data]


class _Batch:
    def __init__(self, now: datetime) -> None:
        self._now = now
        self.data: list[bytes] = []

    def group(self, group: WriteGroup) -> Plain:
        return [
            [group.fence.role, str(group.fence.epoch)] if group.fence else False,
            [self._write(write) for write in group.writes],
            [_position(position) for position in group.positions],
            [_entry(event, AT_ONCE) for event in group.events],
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
            encode(entry_of(write, self._now)),
            0 if write.data is None else len(self.data),
            self._new(write.run_id, write.new) if write.creates and write.new else False,
            [self._outgoing(write, outgoing) for outgoing in write.events],
        ]

    def _new(self, run_id: RunId, new: NewRun) -> Plain:
        origin = Origin(
            run_id=run_id,
            workflow=new.workflow,
            foreign_id=new.foreign_id,
            partition=new.partition,
            created_at=self._now,
            idempotency_key=new.idempotency_key,
        )
        return [new.workflow, new.foreign_id, False if new.idempotency_key is None else new.idempotency_key, encode(origin)]

    def _outgoing(self, write: Write, outgoing: OutgoingEvent) -> Plain:
        event = Event(
            run_id=write.run_id,
            topic=outgoing.topic,
            partition=outgoing.partition,
            version=write.version,
            status=write.status,
            headers=outgoing.headers,
        )
        return _entry(event, text(self._now + timedelta(seconds=outgoing.delay)) if outgoing.delay > 0 else AT_ONCE)


def _entry(event: Event, due: str) -> Plain:
    return [event.run_id, f"{event.partition}:{event.topic}", due, encode(event)]


def _position(position: Position) -> Plain:
    return [position.group, str(position.partition), str(position.offset)]


def results(groups: Sequence[WriteGroup], answers: Sequence[list[bytes]]) -> list[GroupResult]:
    return [_result(group, answer) for group, answer in zip(groups, answers, strict=True)]


def _result(group: WriteGroup, answer: list[bytes]) -> GroupResult:
    if group.fence and answer[:1] == [b"f"]:
        return Fenced(group.fence.role, int(answer[1]))
    return Committed(tuple([_told(write, told.decode()) for write, told in zip(group.writes, answer, strict=True)]))


def _told(write: Write, told: str) -> WriteResult:
    """What became of a write: a letter, and what it met."""
    letter, met = told[0], told[1:]
    match letter:
        case "c":
            return Conflict(write.run_id, Version(int(met)))
        case "k":
            return KeyUsed(write.run_id, RunId(met))
        case "a":
            return ActiveRun(write.run_id, RunId(met))
        case _:
            return Stored(write.run_id, write.version)
