"""Reads of messages, results of `once` and entries set aside."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from toyrecords.file import File
from toyrecords.state import State, place
from workflow_ray.ports import Clock
from workflow_ray.records import (
    BATCH_DATA,
    Message,
    MessageOutcome,
    MessageQuery,
    OnceResult,
    RunId,
    SetAside,
    SetAsideQuery,
)


class MessageReads:
    """The part of a RecordStore that reads what runs wait for."""

    def __init__(self, file: File, clock: Clock) -> None:
        self._file = file
        self._clock = clock

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        def look(state: State) -> list[Message]:
            now = self._clock.now()
            found = [
                message if query.payloads else replace(message, payload=b"")
                for message in (_as_of(state, message, now) for message in state.messages)
                if _is_asked_for(message, query, now) and (message.outcome or not settled)
            ]
            return _page(found, query.limit)

        return await self._file.poll(look, self._clock, wait)

    async def results(self, run_ids: Sequence[RunId]) -> list[OnceResult]:
        with self._file.transaction() as state:
            return [
                result for run_id in run_ids for result in state.results.get(run_id, {}).values()
            ]

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        def look(state: State) -> list[SetAside]:
            """Return the page once its first entry is due."""
            page, now = _entries(state, query), self._clock.now()
            return page if page and page[0].due_at and page[0].due_at <= now else []

        if query.due and (page := await self._file.poll(look, self._clock, wait)):
            return page
        with self._file.transaction() as state:
            return _entries(state, query)


def _as_of(state: State, message: Message, now: datetime) -> Message:
    """Return the message as it is settled by now."""
    if not message.has_expired(now):
        return message
    version = state.records[message.run_id].version
    return message.settled(MessageOutcome.EXPIRED, version, now)


def _is_asked_for(message: Message, query: MessageQuery, now: datetime) -> bool:
    if query.due and message.due_at is not None and message.due_at > now:
        return False
    outcome = MessageOutcome.FAILED if query.failed else None
    return message.key in query.keys or (
        message.run_id in query.run_ids and message.outcome is outcome
    )


def _page(messages: Iterable[Message], limit: int) -> list[Message]:
    page: list[Message] = []
    size = 0
    for message in messages:
        if len(page) == limit or size > BATCH_DATA:
            break
        page.append(message)
        size += len(message.payload)
    return page


def _entries(state: State, query: SetAsideQuery) -> list[SetAside]:
    found = [entry for entry in state.entries if _matches(entry, query)]
    if query.due:
        found.sort(key=lambda entry: entry.due_at or entry.changed_at)
    page: list[SetAside] = []
    size = 0
    for entry in found:
        if len(page) == query.limit or size > BATCH_DATA:
            break
        page.append(entry)
        size += len(entry.event)
    return page


def _matches(entry: SetAside, query: SetAsideQuery) -> bool:
    return (
        entry.key.group == query.group
        and (not query.due or entry.due_at is not None)
        and (not query.dead or entry.due_at is None)
        and query.event_id in (None, entry.event_id)
        and (query.partitions is None or entry.key.partition in query.partitions)
        and (query.after is None or query.due or place(entry.key) > place(query.after))
    )
