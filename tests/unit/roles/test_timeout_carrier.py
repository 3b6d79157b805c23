"""The publisher carries the timeouts of committed writes to the timeout store."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Stage, packing
from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Store
from workflow_ray.records import (
    Awaits,
    Cause,
    NewTimeout,
    RunId,
    RunState,
    Timeout,
    Write,
    WriteGroup,
    new_write_id,
)
from workflow_ray.runtime.mixed import mixed
from workflow_ray_adapters.memory import MemoryStore

HOUR = 3600.0


class TimeoutsAway(MemoryStore):
    """A timeout store that is unavailable for some time."""

    away = False

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        if self.away:
            raise StoreUnavailable("the timeouts", "nobody answers")
        await super().create(timeouts)


class Timed(Bench):
    """Keeps the timeouts in a store of their own, and the events with the records or apart."""

    def __init__(self, *, apart: bool) -> None:
        super().__init__(packing())
        self.timeouts = TimeoutsAway(self.clock)
        self.whole: Store = mixed(self.store, self.stream if apart else None, self.timeouts)

    async def ask(self, run_id: RunId, *names: str) -> None:
        """Let the run wait for timeouts in an hour."""
        (record,) = await self.store.lookup([run_id])
        assert record
        write = Write(
            run_id=run_id,
            write_id=new_write_id(),
            expected=record.version,
            status=record.status,
            run_state=RunState.RUNNING,
            visit=record.visit,
            cause=Cause.STAY,
            by="test",
            timeouts=tuple(
                NewTimeout(name=name, workflow="parcels", partition=record.partition, after=HOUR)
                for name in names
            ),
            awaits=Awaits.MESSAGE,
        )
        await self.whole.store([WriteGroup(writes=(write,))])

    async def due(self) -> list[str]:
        return [
            found.key.name
            for found in await self.timeouts.due("parcels", 1, range(16), limit=100, wait=0)
        ]


@pytest.mark.parametrize("apart", [False, True], ids=["events with the records", "events apart"])
async def test_a_timeout_reaches_its_store_with_the_due_time_that_its_commit_fixed(
    apart: bool,
) -> None:
    async with Timed(apart=apart) as bench:
        runs = await triggered(bench, bench.workflow, "1")
        await bench.ask(runs["1"].run_id, "late", "later")
        await bench.pass_time(HOUR / 2)
        await bench.publisher()
        await bench.pass_time(HOUR / 2 - 1)
        assert await bench.due() == []
        await bench.pass_time(1)
        assert await bench.due() == ["late", "later"]


@pytest.mark.parametrize("apart", [False, True], ids=["events with the records", "events apart"])
async def test_timeouts_that_cannot_be_created_now_are_created_later_and_delay_no_event(
    apart: bool,
) -> None:
    async with Timed(apart=apart) as bench:
        bench.timeouts.away = True
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        waiting = await triggered(bench, bench.workflow, "waits")
        await bench.ask(waiting["waits"].run_id, "late")
        runs: dict[str, Any] = await triggered(bench, bench.workflow, *map(str, range(20)))
        await bench.pass_time(1)
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]
        bench.timeouts.away = False
        await bench.pass_time(HOUR)
        assert await bench.due() == ["late"]
