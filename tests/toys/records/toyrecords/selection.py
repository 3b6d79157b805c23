"""Selects, sorts and bounds what the store returns."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from toyrecords.state import State
from workflow_ray.records import (
    BATCH_DATA,
    Event,
    HistoryEntry,
    OutboxEntry,
    Record,
    RunId,
    RunQuery,
    Timeout,
    Topic,
    status_topic,
)

P = TypeVar("P", Record, HistoryEntry)


def by_run_id(state: State) -> list[Record]:
    return sorted(state.records.values(), key=lambda record: record.run_id)


def page_of(items: Iterable[P], limit: int) -> list[P]:
    """Return the first `limit` items, up to the one whose data exceeds BATCH_DATA."""
    page: list[P] = []
    size = 0
    for item in items:
        if len(page) == limit or size > BATCH_DATA:
            break
        page.append(item)
        size += len(item.data or b"")
    return page


def matches(record: Record, query: RunQuery) -> bool:
    return (
        record.workflow == query.workflow
        and query.foreign_id in (None, record.foreign_id)
        and (not query.statuses or record.status in query.statuses)
        and (not query.run_states or record.run_state in query.run_states)
        and (query.created_from is None or record.created_at >= query.created_from)
        and (query.created_before is None or record.created_at < query.created_before)
        and (not query.causes or record.cause in query.causes)
        and (query.updated_before is None or record.updated_at < query.updated_before)
        and all(record.labels.get(name) == value for name, value in query.labels.items())
    )


def family_of(state: State, query: RunQuery) -> set[RunId] | None:
    """Return the runs that `parent` and `child` of the query allow. None: any run."""
    allowed: set[RunId] | None = None
    if query.parent is not None:
        allowed = {
            linked.child
            for linked in (child.linked for child in state.children)
            if linked.parent == query.parent
            and linked.since >= query.since
            and (linked.link.cascades or not query.cascading)
        }
    if query.child is not None:
        links = state.as_child(query.child) if query.child in state.records else []
        parents = {child.linked.parent for child in links}
        allowed = parents if allowed is None else allowed & parents
    return allowed


def awaited_event(record: Record) -> Event:
    """Make the event that should have woken the run."""
    topic = status_topic(record.workflow, record.status)
    return Event(
        run_id=record.run_id,
        topic=topic,
        partition=record.partition,
        version=record.awaited,
        status=record.status,
    )


def due_order(timeout: Timeout) -> tuple[datetime, str, int, str]:
    return timeout.due_at, timeout.key.run_id, timeout.key.visit, timeout.key.name


def is_asked_for(
    entry: OutboxEntry, without: Sequence[tuple[Topic, int]], timeouts_only: bool
) -> bool:
    if entry.event is None:
        return True
    return not timeouts_only and (entry.event.topic, entry.event.partition) not in without


def share_limit(
    due: Sequence[OutboxEntry], limit: int, *, delayed_first: bool
) -> list[OutboxEntry]:
    """Share the limit between delayed entries and others, in commit order.

    Each kind has half of it, and the rest if the other has fewer.
    """
    kinds = [[entry for entry in due if entry.due_at], [entry for entry in due if not entry.due_at]]
    first, second = kinds if delayed_first else reversed(kinds)
    share = max(limit - len(second), (limit + 1) // 2)
    chosen = first[:share] + second[: limit - len(first[:share])]
    return sorted(chosen, key=lambda entry: entry.id)


def prefix_of(records: Sequence[Record | None]) -> list[Record | None]:
    """Return the records up to the one whose data exceeds BATCH_DATA."""
    prefix: list[Record | None] = []
    size = 0
    for record in records:
        prefix.append(record)
        size += len(record.data) if record else 0
        if size > BATCH_DATA:
            break
    return prefix
