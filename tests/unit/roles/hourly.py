"""A workflow with an hourly schedule, and a bench that runs its scheduler."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec
import pytest

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray.engine.schedules import moment_of
from workflow_ray.records import Record, Role, RunQuery, scheduler_group

HOUR = 3600.0
GROUP = scheduler_group("parcels", "hourly")
Overlap = Literal["skip", "queue", "allow"]
Function = Callable[[datetime], Any]


async def labelled(tick: datetime) -> Parcel:
    return Parcel(label=tick.isoformat())


def scheduled(
    function: Function = labelled,
    *,
    overlap: Overlap = "allow",
    catch_up: float = 24 * HOUR,
    jitter: float = 0.0,
) -> Parcels:
    """A workflow with an hourly schedule. Its runs stay at NEW until a test cancels them."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    workflow.schedule("hourly", every=HOUR, overlap=overlap, catch_up=catch_up, jitter=jitter)(
        function
    )
    return workflow


class Scheduled(Bench):
    """A workflow whose ticks are due at full hours. The time is 00:00 at first."""

    async def scheduler(self) -> AtWork:
        return await self.start(Role(GROUP))

    async def records(self) -> list[Record]:
        """All runs, the oldest first."""
        return await self.store.runs(RunQuery(workflow="parcels"))

    async def ticks(self) -> list[str]:
        """The hours of the ticks that have started a run, in the order of their starts."""
        return [record.foreign_id[-9:-4] for record in await self.records()]

    async def up_to(self) -> datetime:
        """The moment up to which all ticks are done."""
        (position,) = await self.store.positions(GROUP)
        return moment_of(position.offset)

    async def pause(self, *schedules: str) -> None:
        current = await self.store.deployment()
        workflows = [msgspec.structs.replace(one, paused=schedules) for one in current.workflows]
        await self.store.deploy(current.version, workflows)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("scheduler")]
