"""Finds triggers whose idempotency key was first used for another trigger."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from workflow_ray.definition import Workflow
from workflow_ray.engine.idempotency import differences, has_same_data
from workflow_ray.engine.runs import FIRST
from workflow_ray.ports import RecordStore
from workflow_ray.records import KeyUsed, RunId, Write, WriteResult

AT_ONCE = 16
"""The largest number of first runs that are read at the same time."""


async def find_reused(
    workflow: Workflow[Any, Any],
    records: RecordStore,
    data: Mapping[RunId, BaseModel],
    writes: Sequence[Write],
    results: Sequence[WriteResult],
) -> dict[RunId, tuple[str, ...]]:
    """Find the triggers that differ from the ones that their key was first used for.

    Reads nothing while the digests are equal. Otherwise the data is compared as the model reads
    it, because a repeat is not always the same bytes: sets have no order, a default factory makes
    up an id, or a model has got a field with a default.

    Args:
        workflow: The workflow of all writes.
        records: The store.
        data: The data of the triggers that have a key, by the run id of the write.
        writes: The triggers' writes.
        results: The store's answer to each of them.

    Returns:
        By the run id of the trigger's own write, the arguments that differ. A trigger that repeats
        the first one is left out.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def look(write: Write, used: KeyUsed) -> tuple[RunId, tuple[str, ...]]:
        ours, theirs = write.new.digest if write.new else None, used.digest
        if ours is None or theirs is None or ours == theirs:
            return write.run_id, ()
        first = None
        if not has_same_data(ours, theirs):
            async with places:
                entries = await records.history(used.first, limit=1)
            # the first was written in a transaction that is not committed yet, or retention has
            # removed it
            if not entries or entries[0].version != FIRST:
                return write.run_id, (
                    *differences(workflow, data[write.run_id], write, theirs, None),
                    "data",
                )
            first = entries[0]
        return write.run_id, differences(workflow, data[write.run_id], write, theirs, first)

    looks = [
        look(write, result)
        for write, result in zip(writes, results, strict=True)
        if isinstance(result, KeyUsed)
    ]
    return {run_id: found for run_id, found in await asyncio.gather(*looks) if found}
