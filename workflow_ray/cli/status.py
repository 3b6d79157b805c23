"""`workflow-ray status`: what runs on the records, and how its runs fare."""

import asyncio
from contextlib import AsyncExitStack

from workflow_ray.cli.options import AsJson, Events, Records
from workflow_ray.cli.output import print_json
from workflow_ray.cli.role_states import held_by_actors, held_by_process, held_by_workers
from workflow_ray.cli.status_report import DELAYED, Running, StatusReader
from workflow_ray.cli.status_text import print_report
from workflow_ray.cli.status_views import LogsView, Report
from workflow_ray.ports import Clock, EventStreamer, SystemClock, WholeStore, events_adapter
from workflow_ray.ports import Records as RecordsStore
from workflow_ray.records import Activity
from workflow_ray.runtime.connect import open_beside, process_status
from workflow_ray.runtime.urls import Urls


def status(records: Records = None, events: Events = None, as_json: AsJson = False) -> None:
    """Show what runs on the records: local processes or Ray, each role, and how the runs fare.

    Looks at a bounded number of runs: the next 500 retries, and the 50 newest paused runs of each
    status.
    """
    report = asyncio.run(_report(Urls.of(records, events)))
    if as_json:
        print_json(report)
    else:
        print_report(report)


async def _report(urls: Urls) -> Report:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_beside(urls.records, clock))
        events = await _events(stack, urls, store, clock)
        activity = await store.activity(limit=DELAYED)
        running = await find_running(urls.records, activity)
        reader = StatusReader(store, events, await store.deployment(), running)
        return await reader.read(urls.places, activity)


async def _events(
    stack: AsyncExitStack, urls: Urls, store: RecordsStore, clock: Clock
) -> EventStreamer | None:
    """Open the stream. None: the records' store has no events, and no other URL is given."""
    if urls.places.events != urls.places.records:
        return await stack.enter_async_context(
            events_adapter(urls.events).open_events(urls.events, clock=clock)
        )
    return store if isinstance(store, WholeStore) else None


async def find_running(url: str, activity: Activity) -> Running:
    """Find what runs on a store: a local process, workers that share the roles, or Ray."""
    if process := await process_status(url):
        return Running("local", held_by_process(process), LogsView(where="stderr"))
    if activity.holders:
        return Running("local", held_by_workers(activity.holders), LogsView(where="stderr"))
    # Ray is imported last: it takes a second
    from workflow_ray.runtime.ray.inspection import inspect

    if found := await inspect(url):
        held = held_by_actors(found.actors, found.in_flight, found.breakers, found.removed)
        return Running("ray", held, LogsView(where="files", folder=found.logs))
    if activity.is_served:
        return Running("elsewhere", (), LogsView(where="nowhere"))
    return Running(None, (), LogsView(where="nowhere"))
