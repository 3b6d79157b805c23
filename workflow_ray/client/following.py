"""Follows the history of a run while it goes on."""

from collections.abc import AsyncIterator
from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.history import Entry, with_failed
from workflow_ray.client.standing import PAGE, read_failed, read_record
from workflow_ray.definition import Status
from workflow_ray.records import HistoryEntry, Message, MessageKey, RunId, RunState, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

POLL = 2.0
"""Seconds after which callbacks that have failed are looked for: they make no version."""


async def follow(
    connection: Connection[D, S], run_id: RunId, after: Version
) -> AsyncIterator[Entry[D, S]]:
    """Yield the versions of a run above `after`, in order, until it has ended. After each version
    the callbacks come that have failed at it, those of `after` included.
    """
    records = connection.records
    has_callbacks = connection.workflow.checked().has_callbacks
    record = await read_record(connection, run_id, records)
    last: list[HistoryEntry] = []  # the version that was yielded last
    if has_callbacks and after:
        last = await records.history(run_id, after=Version(after - 1), limit=1)
    seen = set[MessageKey]()  # callbacks that were yielded
    is_over = _is_over(record.run_state)
    while True:
        page = (
            await records.history(run_id, after=after, limit=PAGE) if after < record.version else []
        )
        failed: list[Message] = []
        if has_callbacks:
            failed = [each for each in await read_failed(records, run_id) if each.key not in seen]
        for entry in with_failed(connection.workflow, [*last, *page], failed):
            if entry.version > after or entry.callback is not None:
                yield entry
        if page:
            # it may be newer than the record
            last, after, is_over = page[-1:], page[-1].version, _is_over(page[-1].run_state)
        seen.update(each.key for each in failed if (each.version or 0) <= after)
        if page and after < record.version:
            continue
        if is_over:
            return
        wait = POLL if has_callbacks else None
        record = await connection.watcher.newer(run_id, after, wait=wait) or record


def _is_over(run_state: RunState) -> bool:
    """Whether the run gets no further version by itself. One whose data is to be deleted does."""
    return run_state.finished and run_state is not RunState.REQUESTED_DATA_DELETED
