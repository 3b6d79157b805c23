"""Follows the history of a run while it goes on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client.history import Entry
from workflow_ray.client.watcher import Watcher
from workflow_ray.definition import Status, Workflow
from workflow_ray.ports import RecordStore
from workflow_ray.records import Record, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

PAGE = 1000
"""The largest number of history entries that are read at once."""


async def follow(
    workflow: Workflow[D, S],
    records: RecordStore,
    watcher: Watcher,
    read: Callable[[], Awaitable[Record]],
    after: Version,
) -> AsyncIterator[Entry[D, S]]:
    """Yield the versions of a run above `after`, in order, until it has ended.

    Args:
        workflow: The run's workflow.
        records: The store.
        watcher: Wakes the waits.
        read: Reads the run's record.
        after: A version. Those up to it are left out.
    """
    record = await read()
    is_over = record.run_state.finished
    while True:
        while after < record.version and (
            entries := await records.history(record.run_id, after=after, limit=PAGE)
        ):
            for entry in entries:
                yield Entry(workflow, entry)
            # they may be newer than the record
            after, is_over = entries[-1].version, entries[-1].run_state.finished
        if is_over:
            return
        record = await watcher.newer(record.run_id, after, wait=None) or record
