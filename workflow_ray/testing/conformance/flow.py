"""Runs under flow control for the cases."""

from typing import Any

from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Awaits,
    Cause,
    Parked,
    ParkedQuery,
    Parking,
    Record,
    RunId,
    RunState,
    Write,
)
from workflow_ray.testing.conformance.posts import pause
from workflow_ray.testing.conformance.runs import (
    CREATED,
    event,
    new_run,
    step,
    store_all,
    stored,
)

ORDERS = ParkedQuery(workflow="orders", status=CREATED)


def new_parked(key: str = "", priority: int = 0, **changes: Any) -> Write:
    """Make a trigger of a run that parks at CREATED."""
    return parked_at(new_run(**changes), key, priority)


def parked_at(write: Write, key: str = "", priority: int = 0) -> Write:
    """Make the run park at the status that the write enters."""
    parking = Parking(key=key, priority=priority)
    return replace(write, parking=parking, parked=True, awaits=Awaits.PARKED, asks=False, events=())


def admitted(before: Record | Write, key: str | None = None) -> Write:
    """Make the write that lets a parked run go on to its step.

    Args:
        before: The run.
        key: The key of its parking, if it has another one by now.
    """
    assert before.parking is not None
    parking = before.parking if key is None else Parking(key=key)
    write = step(before, status=before.status, events=[event()])
    return replace(write, cause=Cause.ADMITTED, visit=before.visit, parking=parking)


def paused(before: Record | Write) -> Write:
    """Make a write that pauses the run where it is."""
    write = pause(before, visit=before.visit, status=before.status)
    return replace(write, parking=before.parking, parked=before.parked)


def resumed(before: Record | Write) -> Write:
    """Make a write that lets a paused run park again, or hold its slot again."""
    awaits = Awaits.PARKED if before.parked else Awaits.EVENT
    write = replace(paused(before), run_state=RunState.RUNNING, awaits=awaits)
    return replace(write, cause=Cause.RESUMED)


async def store_parked(
    store: RecordStore, key: str = "", priority: int = 0, *, count: int = 1, **changes: Any
) -> list[Record]:
    """Store runs that park at CREATED, and return their records in the order of their ids."""
    runs = [new_parked(key, priority, **changes) for _ in range(count)]
    await store_all(store, *runs)
    return [await stored(store, run.run_id) for run in runs]


async def store_admitted(store: RecordStore, key: str = "", *, count: int = 1) -> list[Record]:
    """Store runs that hold a slot of CREATED."""
    runs = await store_parked(store, key, count=count)
    await store_all(store, *(admitted(run) for run in runs))
    return [await stored(store, run.run_id) for run in runs]


def summary(parked: Parked) -> list[tuple[str, int, list[RunId]]]:
    """Return each key with the number of slots and the parked runs."""
    return [(of.key, of.admitted, [run.run_id for run in of.parked]) for of in parked.keys]


async def parked_now(store: RecordStore, **changes: Any) -> list[tuple[str, int, list[RunId]]]:
    """Return what is parked at CREATED, as `summary` does, and check the number of slots."""
    found = await store.parked(replace(ORDERS, **changes))
    if not (found.more or "after" in changes):
        assert found.admitted == sum(of.admitted for of in found.keys)
    return summary(found)
