"""Connectors: a handler is called with each event of a source."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, Stage, packing
from tests.unit.roles.carts import (
    GROUP,
    Carts,
    breaking,
    connector,
    dead,
    entries,
    hanging,
    rows,
    succeeding,
    triggering,
)
from workflow_ray import Client, Fatal, RunState, resource
from workflow_ray.errors import DeadLetterIncomplete, RoleLost
from workflow_ray.records import (
    MAX_DATA,
    ConnectorEvent,
    GroupResult,
    Role,
    RunQuery,
    SetAside,
    SetAsideQuery,
    WriteGroup,
)
from workflow_ray_adapters.memory import MemorySource


async def test_each_event_is_handled_and_the_position_follows() -> None:
    carts = Carts(partitions=2)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b")
        carts.put("c", partition=1)
        await bench.pass_time()
        assert sorted(carts.handled) == ["a", "b", "c"]
        assert {row.partition: row.offset for row in await rows(bench)} == {0: 2, 1: 1}


async def test_a_new_holder_goes_on_where_the_earlier_one_stopped() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put("a")
        await bench.pass_time()
        await first.leave()
        carts.put("b")
        await connector(bench)
        await bench.pass_time()
        assert carts.handled == ["a", "b"]


async def test_each_shard_handles_the_partitions_that_it_owns() -> None:
    carts = Carts(partitions=3, shards=2)
    async with Bench(carts.workflow) as bench:
        await connector(bench, shard=2, shards=2)
        for partition in range(3):
            carts.put(f"{partition}", partition=partition)
        await bench.pass_time()
        assert carts.handled == ["1"]
        await connector(bench, shard=1, shards=2)
        await bench.pass_time()
        assert sorted(carts.handled) == ["0", "1", "2"]


async def test_a_shard_without_a_partition_waits_and_stops_at_once() -> None:
    carts = Carts(partitions=1, shards=2)
    async with Bench(carts.workflow) as bench:
        idle = await connector(bench, shard=2, shards=2)
        carts.put("a")
        await bench.pass_time(60)
        assert carts.handled == []
        await idle.leave()


async def test_a_partition_that_the_source_gets_later_is_read_from_its_beginning() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        MemorySource(carts.name, partitions=2).put(b"new", partition=1)
        await bench.pass_time(60)
        assert carts.handled == ["new"]


async def test_a_trigger_has_a_default_key_so_that_a_repeated_event_starts_no_second_run() -> None:
    carts = Carts()

    async def trigger_then_fail(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await triggering(client, event)
        if len(carts.begun) == 1:
            raise ValueError("broken after its trigger")

    carts.work.append(trigger_then_fail)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", key="order-1")
        await bench.pass_time(5)
        runs = await bench.store.runs(RunQuery(workflow="parcels"))
        (run,) = runs
        assert (run.foreign_id, len(carts.begun)) == ("order-1", 2)
        assert run.idempotency_key == f"carts:memory:{carts.name}/0/0:order-1"


async def test_a_plain_handler_runs_in_a_thread_and_may_return_an_awaitable() -> None:
    source = MemorySource("plain-handlers")
    threads = list[threading.Thread]()
    workflow = packing()

    @workflow.connector("carts", source)
    def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        threads.append(threading.current_thread())

    async with Bench(workflow) as bench:
        await connector(bench)
        source.put(b"a")
        while not await _offset(bench):
            await bench.pass_time()
            await asyncio.sleep(0.001)
    assert threads[0] is not threading.main_thread()


async def test_a_handler_gets_its_resources() -> None:
    source = MemorySource("resources")
    got = list[str]()
    workflow = packing()

    @resource
    async def label() -> AsyncIterator[str]:
        yield "fragile"

    @workflow.connector("carts", source)
    async def on_cart(
        client: Client[Parcel, Stage], event: ConnectorEvent, name: str = label.value
    ) -> None:
        got.append(name)

    async with Bench(workflow) as bench:
        await connector(bench)
        source.put(b"a")
        await bench.pass_time()
    assert got == ["fragile"]


async def _offset(bench: Bench) -> int:
    return sum(row.offset for row in await rows(bench))


# --- failures -----------------------------------------------------------------------------------


async def test_a_failing_event_is_set_aside_and_tried_again_by_its_policy() -> None:
    carts = Carts()
    carts.work.append(breaking("b"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b", "c")
        await bench.pass_time()
        assert carts.handled == ["a", "c"]
        assert await _offset(bench) == 3
        (entry,) = await entries(bench)
        assert (entry.attempt, entry.error, entry.key.offset) == (1, "ValueError: broken", 1)
        assert entry.due_at is not None
        carts.work.append(succeeding)
        await bench.pass_time(2)
        assert carts.handled == ["a", "c", "b"]
        assert await entries(bench) == []


async def test_an_event_whose_attempts_are_used_up_is_a_dead_letter() -> None:
    carts = Carts(attempts=3)
    carts.work.append(breaking("b"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b", "c")
        await bench.pass_time(600)
        assert carts.begun == ["a", "b", "c", "b", "b"]
        (letter,) = await dead(bench)
        assert (letter.attempt, letter.due_at) == (3, None)


async def test_an_event_whose_id_no_store_can_hold_is_set_aside_under_a_digest_of_it() -> None:
    carts = Carts(attempts=2, name="c" * 300)
    carts.work.append(breaking("a"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b")
        await bench.pass_time(600)
        assert (carts.begun, carts.handled) == (["a", "b", "a"], ["b"])
        (letter,) = await dead(bench)
        carts.work.append(succeeding)
        await bench.client(carts.workflow).dead_letters().replay(f"carts/{letter.event_id}")
        await bench.pass_time()
        assert carts.handled == ["b", "a"]
        assert await entries(bench) == []


async def test_an_event_that_fails_with_fatal_is_a_dead_letter_at_once() -> None:
    carts = Carts()

    async def refuse(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        raise Fatal("not an order")

    carts.work.append(refuse)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a")
        await bench.pass_time(600)
        (letter,) = await dead(bench)
        assert (letter.attempt, carts.begun) == (1, ["a"])


async def test_an_event_too_large_to_be_kept_is_a_dead_letter_without_its_data() -> None:
    carts = Carts()

    async def refuse(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        if event.offset == 0:
            raise ValueError("broken")

    carts.work.append(refuse)
    async with Bench(carts.workflow) as bench:
        role = await connector(bench)
        carts.put("x" * MAX_DATA, "b")
        await bench.pass_time(600)
        assert carts.handled == ["b"]
        assert await _offset(bench) == 2
        (letter,) = await dead(bench)
        assert letter.attempt == 1
        assert "ValueError: broken; the event can't be kept" in letter.error
        letters = bench.client(carts.workflow).dead_letters()
        letter_id = f"carts/{letter.event_id}"
        shown = await letters.show(letter_id)
        assert shown.event is not None
        assert (shown.event.data, shown.event.offset) == (b"", 0)
        with pytest.raises(DeadLetterIncomplete, match=f"the {MAX_DATA} bytes of its event's data"):
            await letters.replay(letter_id)
        await letters.drop(letter_id)
        await role.leave()


async def test_a_failure_is_logged_without_the_data_of_the_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    carts = Carts(attempts=2)

    async def read(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        Parcel.model_validate_json(event.data)

    carts.work.append(read)
    async with Bench(carts.workflow) as bench:
        with caplog.at_level(logging.WARNING):
            await connector(bench)
            carts.put('{"weight": "secret"}')
            await bench.pass_time(60)
        (letter,) = await dead(bench)
    assert "weight" in letter.error
    assert "secret" not in letter.error
    first, last = (record.getMessage() for record in caplog.records)
    assert "(attempt 1 of 2)" in first
    assert "Retrying in" in first
    assert "(attempt 2 of 2)" in last
    assert "is a dead letter" in last
    assert "secret" not in first + last


async def test_hundreds_of_failing_events_do_not_hold_up_the_others() -> None:
    carts = Carts(attempts=2)
    bad = [f"bad-{number}" for number in range(700)]
    carts.work.append(breaking(*bad))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put(*bad, "good")
        await bench.pass_time()
        assert carts.handled == ["good"]
        await bench.pass_time(30)
        assert len(carts.begun) == 1401
        assert await _offset(bench) == 701


async def test_events_that_hang_while_they_are_tried_again_do_not_hold_up_the_others() -> None:
    carts = Carts()
    bad = [f"bad-{number}" for number in range(50)]
    carts.work.append(breaking(*bad))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put(*bad)
        await bench.pass_time()
        carts.work.append(hanging(*bad))
        await bench.pass_time(10)
        carts.put("good")
        await bench.pass_time()
        assert carts.handled == ["good"]


async def test_an_event_that_hangs_does_not_hold_up_the_position_for_ever() -> None:
    carts = Carts(partitions=1)
    carts.work.append(hanging("slow"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("slow")
        await bench.pass_time()
        for _ in range(10):
            carts.put(*[f"{number}" for number in range(500)])
            await bench.pass_time()
        assert await _offset(bench) == 5001
        (entry,) = await entries(bench)
        assert (entry.key.offset, entry.attempt) == (0, 0)
        await bench.pass_time(60)
        assert carts.begun.count("slow") == 1


# --- fences and stops ---------------------------------------------------------------------------


async def test_a_role_that_lost_its_fence_ends_and_its_handler_writes_nothing() -> None:
    carts = Carts()
    gate = asyncio.Event()

    async def late(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await gate.wait()
        await triggering(client, event)

    carts.work.append(late)
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put("a", key="order-1")
        await bench.pass_time()
        carts.work.append(succeeding)
        await bench.whole.acquire(Role(GROUP))
        gate.set()
        await bench.pass_time()
        with pytest.raises(RoleLost):
            await first.task
        assert await bench.store.runs(RunQuery(workflow="parcels")) == []
        assert await dead(bench) == []


async def test_a_stop_finishes_the_running_events_and_leaves_the_others() -> None:
    carts = Carts()
    gate = asyncio.Event()

    async def wait(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await gate.wait()

    carts.work.append(wait)
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put(*[f"{number}" for number in range(150)])
        await bench.pass_time()
        first.stop.set()
        await bench.pass_time()
        gate.set()
        await first.leave()
        assert len(carts.handled) == 100
        await connector(bench)
        await bench.pass_time()
        assert sorted(carts.handled, key=int) == [f"{number}" for number in range(150)]


async def test_an_abandoned_retry_keeps_its_attempts() -> None:
    carts = Carts(attempts=2)
    carts.work.append(breaking("a"))
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put("a")
        await bench.pass_time()
        carts.work.append(hanging())
        await bench.pass_time(2)
        await first.abandon()
        (entry,) = await entries(bench)
        assert entry.attempt == 1
        assert entry.due_at is not None
        carts.work.append(succeeding)
        await connector(bench)
        await bench.pass_time(2)
        assert (carts.handled, await entries(bench)) == (["a"], [])


async def test_the_run_that_a_handler_triggered_runs() -> None:
    carts = Carts()
    carts.work.append(triggering)
    async with Bench(carts.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await connector(bench)
        carts.put("a", key="order-1")
        await bench.pass_time(1)
        run = await bench.client(carts.workflow).latest("order-1")
        assert run.run_state is RunState.COMPLETED


async def test_nothing_is_polled_more_often_than_needed_while_nothing_happens() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        await bench.pass_time(1)
        calls = 0
        whole = bench.whole.set_aside

        async def counting(query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
            nonlocal calls
            calls += 1
            return await whole(query, wait=wait)

        bench.whole.set_aside = counting  # type: ignore[method-assign]
        await bench.pass_time(timedelta(minutes=10).total_seconds())
        assert calls < 100


async def test_an_entry_that_was_read_before_its_attempt_was_committed_does_not_run_again() -> None:
    carts = Carts(attempts=5, backoff=1)
    carts.work.append(breaking("a", "b"))
    async with Bench(carts.workflow) as bench:
        read = bench.whole.set_aside

        async def slow(query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
            found = await read(query, wait=wait)
            for _ in range(15):  # the answer is late
                await asyncio.sleep(0)
            return found

        bench.whole.set_aside = slow  # type: ignore[method-assign]
        await connector(bench)
        carts.put("a", "b")
        await bench.pass_time(300)
        letters = await dead(bench)
        assert [letter.attempt for letter in letters] == [5, 5]
        assert len(carts.begun) == 10


async def test_a_handler_that_cancels_its_own_task_has_failed() -> None:
    carts = Carts(attempts=1)

    async def cancelling(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        task = asyncio.current_task()
        if task is not None and event.data == b"a":
            task.cancel()
        await asyncio.sleep(0)

    carts.work.append(cancelling)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b")
        await bench.pass_time()
        assert carts.handled == ["b"]
        (letter,) = await dead(bench)
        assert letter.error == "CancelledError: the handler cancelled its own task"
        assert (await rows(bench))[0].offset == 2


@pytest.mark.parametrize("died", [False, True], ids=["a retry", "after a crash"])
async def test_an_orderly_stop_gives_back_an_entry_that_was_about_to_run(
    died: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    carts = Carts(attempts=5)
    carts.work.append(breaking("a"))
    async with Bench(carts.workflow) as bench:
        holder = await connector(bench)
        carts.put("a")
        await bench.pass_time()
        if died:  # while it was tried again
            carts.work.append(hanging())
            while len(carts.begun) < 2:
                await bench.pass_time(0.5)
            await holder.kill()
        carts.work.append(succeeding)
        carts.forget()
        store, marked, answer = bench.store.store, asyncio.Event(), asyncio.Event()

        async def slow(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            results = await store(groups)
            if any(group.set_aside for group in groups):
                marked.set()
                await answer.wait()
            return results

        monkeypatch.setattr(bench.store, "store", slow)
        if died:
            holder = await connector(bench)
        while not marked.is_set():
            await bench.pass_time(0.5)
        leaving = asyncio.create_task(holder.leave())
        await bench.pass_time()
        answer.set()
        await leaving
        assert carts.begun == []
        (entry,) = await entries(bench)
        assert (entry.attempt, b"running" in entry.event) == (1, False)
