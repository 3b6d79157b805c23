"""Pages of what a store answers."""

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from workflow_ray.records import BATCH_DATA, HistoryEntry, Record

P = TypeVar("P", Record, HistoryEntry)


def page_of(items: Iterable[P], limit: int) -> list[P]:
    """Return the first `limit` items, up to the one whose data exceeds BATCH_DATA."""
    page: list[P] = []
    size = 0
    for item in islice(items, limit):
        page.append(item)
        size += len(item.data or b"")
        if size > BATCH_DATA:
            break
    return page
