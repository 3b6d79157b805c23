"""The publishers send in order per topic-partition, at least once, and only while they hold their
role.
"""

from collections import defaultdict
from collections.abc import Sequence

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Stage, packing
from workflow_ray.errors import AccessDenied, RoleLost
from workflow_ray.ports import LONGEST_PAUSE
from workflow_ray.records import (
    PUBLISHER,
    Cause,
    Event,
    OutgoingEvent,
    Role,
    RunId,
    Topic,
    Version,
    Write,
    WriteGroup,
    new_write_id,
)
from workflow_ray.roles import publisher

TOPIC = Topic("parcels-1")


class Streamed(Bench):
    """Records in one store, and events in another one that fails."""

    def __init__(self) -> None:
        super().__init__(packing(), apart=True)

    async def trigger(self, *names: str) -> dict[int, list[RunId]]:
        """Trigger runs. Returns their ids by partition, in order."""
        runs: dict[int, list[RunId]] = defaultdict(list)
        for handle in (await triggered(self, self.workflow, *names)).values():
            (record,) = await self.store.lookup([handle.run_id])
            assert record
            runs[record.partition].append(handle.run_id)
        return runs

    async def delayed(self, name: str, *, delay: float) -> list[RunId]:
        """Trigger a run that has a second event later."""
        ((partition, (run_id,)),) = (await self.trigger(name)).items()
        (record,) = await self.store.lookup([run_id])
        assert record
        write = Write(
            run_id=run_id,
            write_id=new_write_id(),
            expected=record.version,
            status=record.status,
            run_state=record.run_state,
            visit=record.visit,
            cause=Cause.REPEAT,
            by="test",
            events=(OutgoingEvent(topic=TOPIC, partition=partition, delay=delay),),
            asks=True,
        )
        await self.store.store([WriteGroup(writes=(write,))])
        return [run_id]

    async def sent(self) -> dict[int, list[RunId]]:
        """The runs whose events have arrived, by partition."""
        runs: dict[int, list[RunId]] = defaultdict(list)
        for event in self.stream.arrived:
            runs[event.partition].append(event.run_id)
        return runs


def names(first: int, last: int) -> list[str]:
    return [f"{n}" for n in range(first, last)]


async def test_events_are_sent_in_commit_order_within_a_topic_and_partition() -> None:
    async with Streamed() as bench:
        runs = await bench.trigger(*names(0, 100))
        await bench.publisher()
        await bench.pass_time()
        assert await bench.sent() == runs


async def test_what_is_sent_leaves_the_outbox() -> None:
    async with Streamed() as bench:
        await bench.trigger(*names(0, 5))
        at_work = await bench.publisher()
        await bench.pass_time()
        await at_work.leave()
        await bench.publisher()
        await bench.pass_time()
        assert sum(map(len, (await bench.sent()).values())) == 5


async def test_an_event_committed_with_a_delay_is_sent_when_it_is_due() -> None:
    async with Streamed() as bench:
        (run_id,) = await bench.delayed("1", delay=60)
        partition = await bench.partition(run_id)
        await bench.publisher()
        await bench.pass_time(seconds=59)
        assert await bench.sent() == {partition: [run_id]}
        await bench.pass_time(seconds=1)
        assert await bench.sent() == {partition: [run_id, run_id]}


async def test_a_partition_that_fails_backs_off_alone_and_catches_up_in_order() -> None:
    async with Streamed() as bench:
        await bench.publisher()
        runs = await bench.trigger(*names(0, 100))
        bench.stream.failing = {7}
        await bench.pass_time(seconds=60)
        more = await bench.trigger(*names(100, 200))
        await bench.pass_time()
        expected = {partition: runs[partition] + more[partition] for partition in range(16)}
        behind = expected.pop(7)
        assert await bench.sent() == expected
        assert 30 <= bench.stream.attempts[7] <= 40, "60 seconds at a pause that doubles up to 2"
        bench.stream.failing = set()
        await bench.pass_time(seconds=LONGEST_PAUSE)
        assert await bench.sent() == {**expected, 7: behind}


async def test_a_partition_that_takes_long_to_fail_delays_the_others_only_once() -> None:
    async with Streamed() as bench:
        await bench.publisher()
        bench.stream.failing, bench.stream.silence = {7}, 5.0
        await bench.trigger(*names(0, 100))
        await bench.pass_time(seconds=5)
        more = await bench.trigger(*names(100, 200))
        await bench.pass_time(seconds=LONGEST_PAUSE)
        sent = await bench.sent()
        assert all(
            sent[partition][-len(runs) :] == runs
            for partition, runs in more.items()
            if partition != 7
        )
        assert 7 not in sent


async def test_events_that_arrived_before_a_send_failed_are_not_sent_again() -> None:
    async with Streamed() as bench:
        await bench.publisher()
        bench.stream.failing = {3, 7}
        runs = await bench.trigger(*names(0, 100))
        await bench.pass_time(seconds=10)
        bench.stream.failing = {7}
        await bench.pass_time(seconds=LONGEST_PAUSE)
        del runs[7]
        assert await bench.sent() == runs


async def test_a_publisher_that_waits_for_a_failing_partition_stops_at_once() -> None:
    async with Streamed() as bench:
        at_work = await bench.publisher()
        bench.stream.failing = set(range(16))
        runs = await bench.trigger(*names(0, 5))
        await bench.pass_time(seconds=60)
        await at_work.leave()
        bench.stream.failing = set()
        await bench.publisher()
        await bench.pass_time()
        assert await bench.sent() == runs


async def test_a_stream_that_fails_altogether_is_waited_for() -> None:
    async with Streamed() as bench:
        await bench.publisher()
        bench.stream.failing = set(range(16))
        runs = await bench.trigger(*names(0, 20))
        await bench.pass_time(seconds=60)
        assert await bench.sent() == {}
        bench.stream.failing = set()
        await bench.pass_time(seconds=LONGEST_PAUSE)
        assert await bench.sent() == runs


async def test_events_sent_twice_after_a_lost_answer_do_no_harm() -> None:
    async with Streamed() as bench:
        bench.stream.lose_answers = 3
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await bench.trigger(*names(0, 20))
        await bench.pass_time(seconds=10)
        assert sum(map(len, (await bench.sent()).values())) > 20
        for run_id in (run_id for partition in runs.values() for run_id in partition):
            assert await bench.causes(run_id) == [Cause.TRIGGER, Cause.STEP]


@pytest.mark.parametrize("apart", [False, True])
async def test_a_publisher_whose_epoch_is_old_ends_and_publishes_nothing_more(apart: bool) -> None:
    workflow = packing()
    async with Bench(workflow, apart=apart) as bench:
        at_work = await bench.publisher()
        await bench.store.acquire(Role(PUBLISHER))
        await triggered(bench, workflow, "1")
        await bench.pass_time()
        with pytest.raises(RoleLost):
            await at_work.task
        assert await bench.received(Stage.NEW) == []


@pytest.mark.parametrize("apart", [False, True])
async def test_a_publisher_that_is_stopped_leaves_at_once_and_the_next_one_sends_the_rest(
    apart: bool,
) -> None:
    workflow = packing()
    async with Bench(workflow, apart=apart) as bench:
        at_work = await bench.publisher()
        await at_work.leave()
        await triggered(bench, workflow, "1")
        await bench.publisher()
        await bench.pass_time()
        (event,) = await bench.received(Stage.NEW)
        assert event.version == 1


async def test_delayed_events_that_are_due_do_not_wait_for_a_backlog_of_immediate_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "BATCH", 10)
    async with Streamed() as bench:
        await bench.trigger(*names(0, 200))
        (late,) = await bench.delayed("late", delay=60)
        await bench.pass_time(seconds=60)
        await bench.trigger(*names(200, 400))
        await bench.publisher()
        await bench.pass_time()
        sent = [(event.run_id, event.version) for event in bench.stream.arrived]
        assert len(sent) == 402
        assert sent.index((late, Version(2))) < 3 * 10


@pytest.mark.parametrize("apart", [False, True])
async def test_the_next_holder_sends_at_once_what_was_committed_without_a_publisher(
    apart: bool,
) -> None:
    workflow = packing()
    async with Bench(workflow, apart=apart) as bench:
        earlier = await bench.publisher()
        await bench.pass_time(seconds=3)
        await earlier.kill()
        for number in range(20):
            await triggered(bench, workflow, f"{number}")
        await bench.publisher()
        await bench.pass_time()
        assert len(await bench.received(Stage.NEW)) == 20


async def test_a_permanent_error_ends_the_publisher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Streamed() as bench:

        async def refused(events: Sequence[Event]) -> None:
            raise AccessDenied("the stream", "the password is wrong")

        monkeypatch.setattr(bench.whole, "send", refused)
        at_work = await bench.publisher()
        await bench.trigger("1")
        await bench.pass_time()
        with pytest.raises(AccessDenied):
            await at_work.task
