"""Removals for the cases."""

from datetime import UTC, datetime, timedelta
from typing import Any

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Fence,
    Record,
    Removal,
    RunId,
    RunQuery,
    Write,
    WriteGroup,
)
from workflow_ray.testing.conformance.posts import (
    commit,
    end,
)
from workflow_ray.testing.conformance.runs import (
    new_run,
    store_all,
)

LATER = RunId("ffffffff-ffff-7fff-bfff-ffffffffffff")
"""A run id above all others."""
MOST = 500
"""The most keys, and the most messages, that one removal removes."""


async def ended(
    store: RecordStore,
    foreign_id: str | None = None,
    *,
    key: str | None = None,
    digest: bytes | None = None,
    labels: dict[str, str] | None = None,
) -> Write:
    """Store a run that has ended at version 2, and return its first write."""
    run = new_run(foreign_id, key=key, digest=digest, labels=labels)
    await store_all(store, run)
    await store_all(store, end(run))
    return run


async def carry_out(
    store: RecordStore, *removals: Removal, fence: Fence | None = None
) -> list[int]:
    answer = await commit(store, WriteGroup(removals=removals, fence=fence))
    assert answer.results == ()
    return list(answer.removed)


async def remove(store: RecordStore, *runs: Write | Record) -> list[int]:
    return await carry_out(
        store, Removal(workflow="orders", runs=tuple(run.run_id for run in runs))
    )


async def found(store: RecordStore, **filters: Any) -> list[RunId]:
    """Return the runs of orders that the filters apply to, by run id."""
    return [record.run_id for record in await store.runs(RunQuery(workflow="orders", **filters))]


def moment(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
