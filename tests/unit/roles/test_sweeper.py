"""The sweeper: runs whose event a stream has lost go on, and slow runs are left alone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.faulty_store import FaultyStore
from tests.unit.parcels import ParcelRun, Parcels, Stage, packing, parcels
from workflow_ray import Pause, Repeat, Retry, RunState, Stay
from workflow_ray.errors import RoleLost
from workflow_ray.records import (
    SWEEPER,
    Cause,
    Position,
    Record,
    Role,
    RunCount,
    RunId,
    Topic,
    Waiting,
    WaitingQuery,
    WriteGroup,
    consumer_group,
)
from workflow_ray.roles import sweeper
from workflow_ray.roles.sweeper import AGE, EVERY, Sweeper
from workflow_ray.testing import FakeClock

TOPIC = Topic("parcels-1")
SWEPT = AGE + 2 * EVERY
"""The seconds after which a lost event was sent again: one sweep finds the run, and another one may
have to judge it.
"""
HOUR = 3600.0


class Swept(Bench):
    """Runs publisher, consumer and sweeper, with the events in another store than the records."""

    def __init__(self, workflow: Parcels | None = None, clock: FakeClock | None = None) -> None:
        super().__init__(workflow or packing(), apart=True, clock=clock)

    async def begin(self, *, consumer: bool = True) -> None:
        await self.publisher()
        await self.sweeper()
        if consumer:
            await self.consumer(Stage.NEW)

    async def trigger(self, *foreign_ids: str) -> list[RunId]:
        return [
            handle.run_id
            for handle in (await triggered(self, self.workflow, *foreign_ids)).values()
        ]

    async def sent(self) -> list[RunId]:
        """The runs of the events in the stream, one for each event."""
        return [event.run_id for event in self.stream.arrived]

    async def all_done(self) -> bool:
        return {count.run_state for count in await self.store.counts("parcels")} == {
            RunState.COMPLETED
        }


def names(count: int) -> list[str]:
    return [f"{number}" for number in range(count)]


# --- what was lost ------------------------------------------------------------------------------


async def test_a_run_whose_event_never_arrived_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with Swept() as bench:
        await bench.begin()
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("1")
        await bench.pass_time(AGE - 1)
        assert await bench.causes(lost) == [Cause.TRIGGER]
        await bench.pass_time(SWEPT - AGE + 1)
        assert await bench.causes(lost) == [Cause.TRIGGER, Cause.STEP]
        assert [record.getMessage() for record in caplog.records] == [
            "parcels-1 lost events: 1 are sent again"
        ]


async def test_runs_whose_events_retention_has_dropped_go_on() -> None:
    async with Swept() as bench:
        await bench.begin(consumer=False)
        await bench.trigger(*names(50))
        await bench.pass_time()
        await bench.stream.drop(TOPIC)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(SWEPT)
        assert await bench.all_done()


async def test_many_lost_events_are_sent_again_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 3)
    async with Swept(packing(partitions=2)) as bench:
        await bench.begin()
        bench.stream.swallow = 20
        runs = await bench.trigger(*names(30))
        await bench.pass_time(SWEPT + EVERY * 10)
        assert await bench.all_done()
        assert sorted(await bench.sent()) == sorted(runs)


async def test_an_event_is_sent_again_once_however_long_nobody_receives_it() -> None:
    async with Swept() as bench:
        await bench.begin(consumer=False)
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("1")
        await bench.pass_time(24 * HOUR)
        assert await bench.sent() == [lost]


async def test_an_event_that_is_lost_again_is_sent_again() -> None:
    async with Swept() as bench:
        await bench.begin()
        bench.stream.swallow = 3
        await bench.trigger("1")
        await bench.pass_time(SWEPT + 3 * EVERY)
        assert await bench.all_done()


async def test_a_lost_answer_to_a_sweep_does_no_harm() -> None:
    async with Swept() as bench:
        await bench.begin()
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("1")
        await bench.pass_time(AGE - 1)
        bench.store.lose_answers = 5
        await bench.pass_time(SWEPT)
        assert await bench.causes(lost) == [Cause.TRIGGER, Cause.STEP]


async def test_the_sweeper_counts_the_events_that_it_sends_again() -> None:
    async with Swept() as bench:
        await bench.publisher()
        bench.stream.swallow = 5
        await bench.trigger(*names(7))
        fence, stop = await bench.whole.acquire(Role(SWEEPER)), asyncio.Event()
        swept = Sweeper(fence, bench.whole, bench.whole, bench.clock, every=1.0, age=10.0)
        running = asyncio.create_task(swept.run(stop))
        await bench.consumer(Stage.NEW)
        await bench.pass_time(15)
        stop.set()
        await running
        assert (swept.resent, await bench.all_done()) == (5, True)


# --- what is only slow --------------------------------------------------------------------------


async def test_a_backlog_is_left_alone() -> None:
    async with Swept() as bench:
        await bench.begin(consumer=False)
        runs = await bench.trigger(*names(100))
        await bench.pass_time(24 * HOUR)
        assert sorted(await bench.sent()) == sorted(runs)


async def test_an_event_that_cannot_be_published_yet_is_left_alone() -> None:
    async with Swept() as bench:
        bench.stream.failing = set(range(16))
        await bench.begin()
        runs = await bench.trigger("1")
        await bench.pass_time(HOUR)
        bench.stream.failing = set()
        await bench.pass_time(HOUR)
        assert await bench.sent() == runs


async def test_a_long_step_is_left_alone_and_so_is_what_stands_behind_it_until_it_is_done() -> None:
    clock, workflow = FakeClock(), parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await clock.wait(asyncio.Event(), 2 * HOUR if run.foreign_id == "slow" else 0)
        return Stage.DONE

    async with Swept(workflow, clock) as bench:
        await bench.begin()
        (slow,) = await bench.trigger("slow")
        await bench.pass_time()
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("lost")
        await bench.pass_time(HOUR)
        assert await bench.sent() == [slow]
        await bench.pass_time(HOUR + 2 * EVERY)
        assert await bench.sent() == [slow, lost]
        assert await bench.all_done()


async def test_runs_that_wait_for_a_time_or_a_message_are_left_alone() -> None:
    workflow, calls = parcels(), list[str]()

    @workflow.step(Stage.NEW, retry=Retry(attempts=2, backoff=timedelta(hours=12), factor=1.0))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat | Pause | Stay:
        calls.append(run.foreign_id)
        match run.foreign_id:
            case "failing":
                raise ValueError("broken")
            case "repeating":
                return Repeat(timedelta(hours=12))
            case "paused":
                return Pause("by hand")
            case _:
                return Stay()

    async with Swept(workflow) as bench:
        await bench.begin()
        await bench.trigger("failing", "repeating", "paused", "staying")
        await bench.pass_time(4 * HOUR)
        assert sorted(calls) == ["failing", "paused", "repeating", "staying"]


async def test_statuses_that_nobody_consumes_are_left_alone() -> None:
    async with Swept() as bench:
        await bench.begin()
        await bench.trigger(*names(3))
        await bench.pass_time(HOUR)
        assert (await bench.all_done(), len(await bench.sent())) == (True, 3)


# --- the role -----------------------------------------------------------------------------------


async def test_a_sweeper_whose_epoch_is_old_ends_at_its_next_sweep() -> None:
    async with Swept() as bench:
        at_work = await bench.sweeper()
        await bench.whole.acquire(Role(SWEEPER))
        await bench.pass_time(EVERY)
        with pytest.raises(RoleLost):
            await at_work.task


async def test_a_sweeper_that_is_stopped_leaves_at_once() -> None:
    async with Swept() as bench:
        at_work = await bench.sweeper()
        await at_work.leave()


async def test_a_stream_that_fails_is_read_again_at_the_next_sweep() -> None:
    async with Swept() as bench:
        await bench.begin()
        bench.stream.swallow = 1
        await bench.trigger("1")
        bench.stream.away = True
        await bench.pass_time(SWEPT)
        assert not await bench.all_done()
        bench.stream.away = False
        await bench.pass_time(EVERY)
        assert await bench.all_done()


async def test_a_workflow_without_active_runs_is_read_once_in_the_time_that_a_lost_run_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = Counter[str]()
    waiting, counts = FaultyStore.waiting, FaultyStore.counts

    async def noted_waiting(store: FaultyStore, query: WaitingQuery) -> Waiting:
        reads["waiting"] += 1
        return await waiting(store, query)

    async def noted_counts(store: FaultyStore, workflow: str) -> list[RunCount]:
        reads["counts"] += 1
        return await counts(store, workflow)

    monkeypatch.setattr(FaultyStore, "waiting", noted_waiting)
    monkeypatch.setattr(FaultyStore, "counts", noted_counts)
    async with Swept(packing(partitions=16)) as bench:
        await bench.begin()
        await bench.pass_time(10 * AGE - 1)
        assert reads == {"counts": 1 + 10}  # the deploy looks once for runs of an earlier one
        await bench.pass_time(AGE / 2)
        bench.stream.swallow = 1
        await bench.trigger("lost just after a look")
        await bench.pass_time(SWEPT)
        assert await bench.all_done()


# --- what does not hide lost events -------------------------------------------------------------


async def test_runs_that_stay_do_not_hide_lost_events() -> None:
    workflow = parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Stay:
        return Stay() if run.foreign_id.startswith("stays") else Stage.DONE

    async with Swept(workflow) as bench:
        await bench.begin()
        await bench.trigger(*(f"stays {number}" for number in range(600)))
        await bench.pass_time()
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("lost")
        await bench.pass_time(SWEPT)
        assert await bench.causes(lost) == [Cause.TRIGGER, Cause.STEP]


async def test_runs_that_wait_for_a_due_time_do_not_hide_lost_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 50)
    workflow = parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        return Repeat(timedelta(days=1)) if run.foreign_id.startswith("repeats") else Stage.DONE

    async with Swept(workflow) as bench:
        await bench.begin()
        await bench.trigger(*(f"repeats {number}" for number in range(600)))
        await bench.pass_time()
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("lost")
        await bench.pass_time(SWEPT + 600 / 50 * EVERY)
        assert await bench.causes(lost) == [Cause.TRIGGER, Cause.STEP]


async def test_messages_of_others_at_the_end_of_a_partition_do_not_hide_lost_events() -> None:
    async with Swept(packing(partitions=1)) as bench:
        await bench.begin()
        bench.stream.swallow = 1
        (lost,) = await bench.trigger("1")
        await bench.pass_time()
        bench.stream.add_foreign(TOPIC, 0)
        await bench.pass_time(SWEPT)
        assert [event.run_id for event in bench.stream.arrived] == [lost]


async def test_a_position_of_another_log_is_ignored() -> None:
    async with Swept(packing(partitions=1)) as bench:
        await bench.begin(consumer=False)
        runs = await bench.trigger(*names(5))
        await bench.pass_time()
        position = Position(consumer_group("parcels", Stage.NEW.value), 0, 500, log="another")
        await bench.whole.store([WriteGroup(positions=(position,))])
        await bench.pass_time(SWEPT + 3 * EVERY)
        assert await bench.sent() == runs, (
            "all stand in the stream, and nobody has passed them over"
        )


async def test_suspects_are_found_again_when_a_new_log_begins() -> None:
    async with Swept(packing(partitions=1)) as bench:
        await bench.begin(consumer=False)
        runs = await bench.trigger(*names(5))
        await bench.pass_time(SWEPT)
        await bench.stream.lose_tail(TOPIC, 0)
        await bench.consumer(Stage.NEW)
        await bench.pass_time(SWEPT + 3 * EVERY)
        assert await bench.all_done()
        assert sorted(await bench.sent()) == sorted(2 * runs)


async def test_all_lost_runs_with_large_data_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Swept(packing(partitions=1)) as bench:
        await bench.begin()
        lookup = bench.store.lookup

        async def one_by_one(
            run_ids: Sequence[RunId], *, fresh: bool = False
        ) -> list[Record | None]:
            return await lookup(run_ids[:1], fresh=fresh)

        monkeypatch.setattr(bench.store, "lookup", one_by_one)
        monkeypatch.setattr(bench.whole, "lookup", one_by_one)
        bench.stream.swallow = 5
        await bench.trigger(*names(5))
        await bench.pass_time(SWEPT)
        assert await bench.all_done()
