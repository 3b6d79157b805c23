"""Making and opening the store that URLs name."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from workflow_ray.ports import (
    Clock,
    RecordsAdapter,
    Store,
    WholeStore,
    adapter_for,
    events_adapter,
    records_adapter,
    timeouts_adapter,
)
from workflow_ray.runtime.mixed import mixed
from workflow_ray.runtime.urls import Urls

PATIENCE = 5.0
"""Seconds to wait until another process has closed a store."""


def find_adapters(urls: Urls) -> RecordsAdapter:
    """Find an adapter for each of the URLs. Returns that of the records.

    Raises UnknownScheme, AdapterNotInstalled or UnfitAdapter: there is none for one of them.
    """
    records, places = records_adapter(urls.records), urls.places
    if places.events != places.records:
        events_adapter(urls.events)
    if places.timeouts != places.records:
        timeouts_adapter(urls.timeouts)
    return records


def create(urls: Urls) -> str:
    """Make the stores that do not exist yet. Safe to repeat. It may block for some seconds.

    Returns:
        The id of the records' store.

    Raises:
        UnknownScheme, AdapterNotInstalled, UnfitAdapter: Nothing was made.
        StoreError: What `Adapter.create` raises.
    """
    records, places = find_adapters(urls), urls.places
    store_id = records.create(urls.records)
    others = {places.events: urls.events, places.timeouts: urls.timeouts}
    for place in others.keys() - {places.records}:
        adapter_for(others[place]).create(others[place])
    return store_id


@asynccontextmanager
async def open_store(
    urls: Urls,
    *,
    clock: Clock,
    store_id: str | None = None,
    exclusive: bool = True,
    patience: float = PATIENCE,
) -> AsyncGenerator[Store]:
    """Open the stores that the URLs name, as one store. `create` has made them.

    It is an OutboxMover if, and only if, one store holds records and events. The arguments are
    those of `RecordsAdapter.open_records`.

    Raises:
        UnfitAdapter: The records' store holds no events or timeouts, and no other URL is given for
            them.
        StoreError: What `RecordsAdapter.open_records` raises.
    """
    places = urls.places
    async with AsyncExitStack() as stack:
        opening = records_adapter(urls.records).open_records(
            urls.records, clock=clock, store_id=store_id, exclusive=exclusive, patience=patience
        )
        records = await stack.enter_async_context(opening)
        whole = isinstance(records, WholeStore)
        events = timeouts = None
        if not whole or places.events != places.records:
            events = await stack.enter_async_context(
                events_adapter(urls.events).open_events(urls.events, clock=clock)
            )
        if not whole or places.timeouts != places.records:
            timeouts = await stack.enter_async_context(
                timeouts_adapter(urls.timeouts).open_timeouts(urls.timeouts, clock=clock)
            )
        yield mixed(records, events, timeouts)
