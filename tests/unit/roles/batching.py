"""A workflow whose batch step does what a test says."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Cancel, Handle, Pause, Repeat, Retry, RunState
from workflow_ray.records import Cause

Results: TypeAlias = list[Literal[Stage.DONE] | Cancel | Pause | Repeat | Exception]
Work: TypeAlias = Callable[[list[ParcelRun]], Awaitable[Results]]

SUCCEEDED = [Cause.TRIGGER, Cause.STEP]
FAILED = [Cause.TRIGGER, Cause.FAILED]
ONCE = Retry(attempts=1)
WAIT = 0.5
"""The seconds that batches wait for further runs."""
TOO_LONG = "it took longer than 10 s (timeout=10)"


def done(runs: list[ParcelRun]) -> Results:
    return [Stage.DONE for _ in runs]


class Batching:
    """A batch step, and the foreign ids of its calls, sorted.

    Args:
        work: What the step does, after its call was noted.
        partitions: With one, events come in the order of the triggers.
        options: Of the step.
    """

    def __init__(self, work: Work | None = None, *, partitions: int = 1, **options: Any) -> None:
        self.work = work
        self.calls: list[list[str]] = []
        self.workflow: Parcels = parcels(partitions)

        @self.workflow.batch_step(Stage.NEW, **options)
        async def pack(runs: list[ParcelRun]) -> Results:
            self.calls.append([run.foreign_id for run in runs])
            return done(runs) if self.work is None else await self.work(runs)

    @property
    def sizes(self) -> list[int]:
        return [len(call) for call in self.calls]


async def begun(bench: Bench) -> None:
    """Start the publisher, and the consumer of the batch step."""
    await bench.publisher()
    await bench.consumer(Stage.NEW)


async def causes(bench: Bench, runs: dict[str, Handle[Parcel, Stage]]) -> dict[str, list[Cause]]:
    """The causes of the versions of each run."""
    return {foreign_id: await bench.causes(handle.run_id) for foreign_id, handle in runs.items()}


async def ended(bench: Bench, runs: dict[str, Handle[Parcel, Stage]]) -> None:
    """Let all run that can, until each run is at rest."""
    for _ in range(100):
        await bench.pass_time(0.01)
        found = [await handle.get() for handle in runs.values()]
        if all(run.run_state.finished or run.run_state is RunState.PAUSED for run in found):
            return
    raise AssertionError("some runs go on")


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]
