"""Messages, inboxes and the events of runs for the cases."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Committed,
    Event,
    Fence,
    Message,
    MessageFailure,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    NewMessage,
    OnceAnswer,
    OnceResult,
    PostResult,
    Record,
    RunId,
    RunState,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    status_topic,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    event,
    events_of,
    new_run,
    step,
    store_all,
    stored,
)

CALLERS = 50
EVERYWHERE = (CREATED, PAID, SHIPPED)
SOON = 60.0
"""Seconds that a message is kept, or that an attempt is delayed."""


def key(
    message_id: str, *, workflow: str = "orders", kind: MessageKind = MessageKind.CALLBACK
) -> MessageKey:
    return MessageKey(workflow, kind, MessageId(message_id))


def callback(
    run: Record | Write | None,
    message_id: str = "m-1",
    *,
    foreign_id: str | None = None,
    workflow: str = "orders",
    kind: MessageKind = MessageKind.CALLBACK,
    statuses: tuple[int, ...] = (CREATED,),
    kept_at: tuple[int, ...] | None = (),
    keep: float | None = None,
    visit: int | None = None,
    payload: bytes = b"{}",
    digest: bytes | None = None,
) -> NewMessage:
    """Make a message to the run, or to the foreign id."""
    return NewMessage(
        key=key(message_id, workflow=workflow, kind=kind),
        run_id=run.run_id if run else None,
        foreign_id=foreign_id,
        name="paid",
        statuses=statuses,
        kept_at=kept_at,
        keep=keep,
        visit=None if visit is None else Version(visit),
        payload=payload,
        digest=digest,
        by="client",
    )


def failure(
    message: Message, *, attempt: int = 1, retry_in: float | None = None, reason: str = "no card"
) -> MessageFailure:
    return MessageFailure(
        key=message.key,
        run_id=message.run_id,
        attempt=attempt,
        reason=reason,
        retry_in=retry_in,
    )


def taking(
    before: Record | Write, *keys: MessageKey, status: int = PAID, events: bool = True
) -> Write:
    """Make a write that takes the messages and moves the run on to a status with a step."""
    topic = status_topic("orders", status)
    return replace(
        step(before, status=status, events=[event(topic=topic)] if events else []), takes=keys
    )


def rest(before: Record | Write, *, status: int = PAID) -> Write:
    """Make a write after which the run waits for messages, in a new visit."""
    return replace(step(before, status=status), awaits=Awaits.MESSAGE, asks=False)


def stay(before: Record | Write, *, visit: int, status: int = CREATED) -> Write:
    """Make a write after which the run waits for messages, in the same visit."""
    return replace(rest(before, status=status), visit=Version(visit))


def pause(before: Record | Write, *, visit: int, status: int = CREATED) -> Write:
    return replace(step(before, status=status, run_state=RunState.PAUSED), visit=Version(visit))


def end(
    before: Record | Write, *, status: int = SHIPPED, run_state: RunState = RunState.COMPLETED
) -> Write:
    return step(before, status=status, run_state=run_state)


async def resting_run(store: RecordStore, foreign_id: str | None = None) -> Record:
    """Store a run that waits for messages at its first status."""
    run = new_run(foreign_id)
    waits = replace(run, awaits=Awaits.MESSAGE, asks=False)
    await store_all(store, waits)
    return await stored(store, run.run_id)


async def commit(store: RecordStore, group: WriteGroup) -> Committed:
    """Store one group, and return its answers."""
    (answer,) = await store.store([group])
    assert isinstance(answer, Committed)
    return answer


async def post(
    store: RecordStore, *messages: NewMessage, fence: Fence | None = None
) -> list[PostResult]:
    return list((await commit(store, WriteGroup(messages=messages, fence=fence))).posts)


async def post_at_once(store: RecordStore, messages: Sequence[NewMessage]) -> list[PostResult]:
    """Post each message in a call of its own, all at the same time."""
    answers = await asyncio.gather(*(post(store, message) for message in messages))
    return [answer for (answer,) in answers]


async def fail(store: RecordStore, *failures: MessageFailure) -> None:
    await commit(store, WriteGroup(failures=failures))


async def store_at_once(store: RecordStore, writes: Sequence[Write]) -> list[WriteResult]:
    """Store each write in a call of its own, all at the same time."""
    answers = await asyncio.gather(*(store_all(store, write) for write in writes))
    return [answer for (answer,) in answers]


async def keep_result(store: RecordStore, *kept: OnceResult) -> list[OnceAnswer]:
    return list((await commit(store, WriteGroup(results=kept))).once)


async def message_of(store: RecordStore, message_key: MessageKey) -> Message:
    (message,) = await store.messages(MessageQuery(keys=(message_key,)))
    return message


async def inbox(store: RecordStore, run_id: RunId) -> list[MessageKey]:
    """Return the keys of the messages that wait, and check the record's count of them."""
    found = await store.messages(MessageQuery(run_ids=(run_id,)))
    assert (await stored(store, run_id)).messages == len(found)
    return [message.key for message in found]


async def outcome_of(
    store: RecordStore, message_key: MessageKey
) -> tuple[MessageOutcome | None, Version | None]:
    message = await message_of(store, message_key)
    return message.outcome, message.version


async def awaited(store: RecordStore, run: Record | Write) -> tuple[Awaits, int]:
    record = await stored(store, run.run_id)
    return record.awaits, record.awaited


def message_event(run: Record | Write, *, status: int = CREATED, workflow: str = "orders") -> Event:
    """Make the event that says that the run has a message."""
    return Event(
        run_id=run.run_id,
        topic=status_topic(workflow, status),
        partition=0,
        version=NO_VERSION,
        status=status,
    )


async def publish_all(store: Records, publisher: Fence) -> list[Event]:
    """Remove the entries that are due from the outbox, and return their events."""
    entries = await store.pending(publisher, limit=1000, wait=0)
    await store.published(publisher, [entry.id for entry in entries])
    return events_of(entries)


async def next_event(store: RecordStore) -> datetime | None:
    """Return when the next event that is not due yet is due."""
    delayed = (await store.activity()).delayed
    return delayed[0].due_at if delayed else None


def after(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def too_soon(
    run: Record | Write,
    message_id: str = "m-1",
    *,
    workflow: str = "orders",
    kept_at: tuple[int, ...] | None = (CREATED,),
    keep: float = SOON,
) -> NewMessage:
    """Make a message that is kept for a time, because the run is not yet at PAID."""
    return callback(
        run, message_id, workflow=workflow, statuses=(PAID,), kept_at=kept_at, keep=keep
    )


async def race(
    store: RecordStore, groups: Sequence[WriteGroup], write: Write
) -> tuple[list[Committed], list[WriteResult]]:
    """Store each group and, in the middle of them, a write, all in calls of their own at once.

    Returns:
        The answers to the groups, and that to the write.
    """
    middle = len(groups) // 2
    before = [commit(store, group) for group in groups[:middle]]
    behind = [commit(store, group) for group in groups[middle:]]
    moving = WriteGroup(writes=(write,))
    answers = await asyncio.gather(*before, commit(store, moving), *behind)
    return [*answers[:middle], *answers[middle + 1 :]], list(answers[middle].results)
