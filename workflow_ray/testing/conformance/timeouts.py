"""Timeouts for the cases."""

from collections.abc import Sequence
from datetime import timedelta

from workflow_ray.ports import TimeoutStore
from workflow_ray.records import RunId, Timeout, TimeoutKey, Version, new_run_id
from workflow_ray.testing.clock import START
from workflow_ray.testing.conformance.runs import CREATED, PARTITIONS

ALL = tuple(range(PARTITIONS))


def at(
    seconds: float,
    *,
    run_id: RunId | None = None,
    visit: int = 1,
    name: str = "timeout",
    partition: int = 0,
) -> Timeout:
    """Make a timeout that is due `seconds` after the start of the clock."""
    key = TimeoutKey(run_id or new_run_id(), Version(visit), name)
    return Timeout(
        key=key,
        workflow="orders",
        status=CREATED,
        partition=partition,
        due_at=START + timedelta(seconds=seconds),
    )


async def due(
    store: TimeoutStore, *, status: int = CREATED, partitions: Sequence[int] = ALL, limit: int = 100
) -> list[Timeout]:
    return await store.due("orders", status, partitions, limit=limit, wait=0)
