"""Entries that groups have set aside."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from workflow_ray.records import BATCH_DATA, NewSetAside, SetAside, SetAsideKey, SetAsideQuery


class SetAsides:
    def __init__(self) -> None:
        self._entries: dict[str, dict[SetAsideKey, SetAside]] = {}  # by group

    def put(self, new: NewSetAside, now: datetime) -> None:
        """Make an entry, or replace the one that exists."""
        entries = self._entries.setdefault(new.key.group, {})
        known = entries.get(new.key)
        entries[new.key] = SetAside(
            key=new.key,
            event_id=new.event_id,
            event=new.event,
            attempt=new.attempt,
            error=new.error,
            due_at=None if new.retry_in is None else now + timedelta(seconds=new.retry_in),
            set_aside_at=known.set_aside_at if known else now,
            changed_at=now,
        )

    def remove(self, keys: Iterable[SetAsideKey]) -> None:
        for key in keys:
            self._entries.get(key.group, {}).pop(key, None)

    def page(self, query: SetAsideQuery) -> list[SetAside]:
        """Return the entries, up to the one whose event exceeds BATCH_DATA."""
        entries = self._entries.get(query.group, {}).values()
        found = sorted((entry for entry in entries if _matches(entry, query)), key=_place)
        if query.due:
            found.sort(key=lambda entry: entry.due_at or entry.changed_at)
        page: list[SetAside] = []
        size = 0
        for entry in found[: query.limit]:
            page.append(entry)
            size += len(entry.event)
            if size > BATCH_DATA:
                break
        return page

    def to_retry(self) -> list[SetAside]:
        """Return the entries of all groups that are tried again, the next one first."""
        entries = [each for group in self._entries.values() for each in group.values()]
        return sorted(
            (each for each in entries if each.due_at is not None),
            key=lambda each: each.due_at or each.changed_at,
        )

    def next_due(self, query: SetAsideQuery) -> datetime | None:
        """Return when the first entry of a query with `due` is due."""
        page = self.page(query)
        return page[0].due_at if page else None


def _matches(entry: SetAside, query: SetAsideQuery) -> bool:
    return (
        (not query.due or entry.due_at is not None)
        and (not query.dead or entry.due_at is None)
        and (query.event_id is None or entry.event_id == query.event_id)
        and (query.partitions is None or entry.key.partition in query.partitions)
        and (query.due or query.after is None or _place_of(entry.key) > _place_of(query.after))
    )


def _place(entry: SetAside) -> tuple[int, str, int, int]:
    return _place_of(entry.key)


def _place_of(key: SetAsideKey) -> tuple[int, str, int, int]:
    """The order within one group."""
    return key.partition, key.log, key.incarnation, key.offset
