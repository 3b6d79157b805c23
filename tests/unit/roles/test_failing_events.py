"""Events whose handler fails are set aside and tried again, and the others go on."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, Stage
from tests.unit.roles.carts import (
    Carts,
    breaking,
    connector,
    dead,
    entries,
    hanging,
    offset,
    rows,
    succeeding,
)
from workflow_ray import Client, Fatal
from workflow_ray.errors import DeadLetterIncomplete
from workflow_ray.records import (
    MAX_DATA,
    ConnectorEvent,
    GroupResult,
    SetAside,
    SetAsideQuery,
    WriteGroup,
)


async def test_a_failing_event_is_set_aside_and_tried_again_by_its_policy() -> None:
    carts = Carts()
    carts.work.append(breaking("b"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b", "c")
        await bench.pass_time()
        assert carts.handled == ["a", "c"]
        assert await offset(bench) == 3
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
        assert await offset(bench) == 2
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
        assert await offset(bench) == 701


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
        assert await offset(bench) == 5001
        (entry,) = await entries(bench)
        assert (entry.key.offset, entry.attempt) == (0, 0)
        await bench.pass_time(60)
        assert carts.begun.count("slow") == 1


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
