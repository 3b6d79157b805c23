"""From URLs to one open store, whatever is where."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from workflow_ray.ports import (
    Clock,
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
"""Seconds to wait for another process to let go of a store."""


def create(urls: Urls) -> str:
    """Make what isn't there yet at each of the URLs; the id of the records. Safe to repeat. It may
    block for some seconds.

    Raises UnknownScheme, AdapterNotInstalled, UnfitAdapter: nothing was made; and what
    `Adapter.create` does.
    """
    records, places = records_adapter(urls.records), urls.places
    if places.events != places.records:
        events_adapter(urls.events)
    if places.timeouts != places.records:
        timeouts_adapter(urls.timeouts)
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
    """All that the URLs name, as one store. Made before, by `create`. The rest is as with
    `RecordsAdapter.open_records`.

    Where one store holds records and events, and only then, it is an OutboxMover.
    Raises UnfitAdapter: the records' store holds no events or timeouts, and no other URL is given
    for them.
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
