"""A workflow whose step a test changes from one process to the next, to crash the first one."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from tests.unit.bench import Bench
from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels
from workflow_ray import Handle, Retry
from workflow_ray.records import Cause, Role, consumer_group

ROLE = Role(consumer_group("parcels", Stage.NEW.value))
Work: TypeAlias = Callable[[ParcelRun], Coroutine[Any, Any, None]]

UNTOUCHED = [Cause.TRIGGER, Cause.STEP]
COUNTED = [Cause.TRIGGER, Cause.DOUBT, Cause.STEP]


def doing(
    work: list[Work], *, attempts: int = 3, partitions: int = 16, max_in_flight: int = 100
) -> Parcels:
    """Its step calls the last function of `work`."""
    workflow = parcels(partitions)

    @workflow.step(
        Stage.NEW,
        retry=Retry(attempts=attempts, backoff=timedelta(seconds=1)),
        max_in_flight=max_in_flight,
    )
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await work[-1](run)
        return Stage.DONE

    return workflow


async def hang(run: ParcelRun) -> None:
    await asyncio.Event().wait()


async def succeed(run: ParcelRun) -> None:
    pass


async def fail(run: ParcelRun) -> None:
    raise ValueError("broken")


class Killer:
    """Hangs in the run `name` until the process is killed, and notes which runs were running."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.running = set[str]()
        self.calls = list[str]()

    async def __call__(self, run: ParcelRun) -> None:
        self.calls.append(run.foreign_id)
        self.running.add(run.foreign_id)
        try:
            if run.foreign_id in self.names:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        finally:
            self.running.discard(run.foreign_id)

    @property
    def kills(self) -> bool:
        return bool(self.running.intersection(self.names))


async def causes(bench: Bench, runs: dict[str, Handle[Any, Stage]]) -> dict[str, list[Cause]]:
    return {foreign_id: await bench.causes(handle.run_id) for foreign_id, handle in runs.items()}


async def histories(bench: Bench, runs: dict[str, Handle[Any, Stage]]) -> set[tuple[Cause, ...]]:
    """Return the causes of each run's versions, each sequence of them once."""
    return set(map(tuple, (await causes(bench, runs)).values()))


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]
