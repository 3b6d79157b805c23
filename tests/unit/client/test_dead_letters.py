"""Dead letters: listed, shown, replayed and dropped by a client."""

import logging

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Stage, packing
from tests.unit.roles.carts import Carts, breaking, connector, dead, succeeding
from workflow_ray import DeadLetter, Retry
from workflow_ray.client.dead_letters import DeadLetters
from workflow_ray.errors import DeadLetterNotFound, InvalidInput
from workflow_ray.records import Role, hooks_group


async def listed(letters: DeadLetters) -> list[DeadLetter]:
    return [letter async for letter in letters]


async def test_a_dead_letter_is_listed_without_its_data_and_shown_with_it() -> None:
    carts = Carts(attempts=1)
    carts.work.append(breaking("bad"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("good", "bad", key="order-1")
        await bench.pass_time()
        letters = bench.client(carts.workflow).dead_letters(connector="carts")
        (letter,) = await listed(letters)
        assert letter.id == f"carts/{letter.event_id}"
        assert (letter.origin, letter.attempts, letter.error) == ("carts", 1, "ValueError: broken")
        shown = await letters.show(letter.id)
        assert shown.event is not None
        assert (shown.event.data, shown.event.key) == (b"bad", "order-1")


async def test_a_replayed_dead_letter_is_delivered_again_with_all_its_attempts() -> None:
    carts = Carts(attempts=2)
    carts.work.append(breaking("bad"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("bad")
        await bench.pass_time(10)
        letters = bench.client(carts.workflow).dead_letters()
        (letter,) = await listed(letters)
        await letters.replay(letter.id)
        await bench.pass_time(10)
        assert len(carts.begun) == 4
        assert [each.attempts for each in await listed(letters)] == [2]
        carts.work.append(succeeding)
        await letters.replay(letter.id)
        await bench.pass_time(1)
        assert (carts.handled, await listed(letters)) == (["bad"], [])


async def test_a_replay_starts_at_once_in_a_role_that_waits() -> None:
    carts = Carts(attempts=1)
    carts.work.append(breaking("bad"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("bad")
        await bench.pass_time(10)
        carts.work.append(succeeding)
        letters = bench.client(carts.workflow).dead_letters()
        await letters.replay((await listed(letters))[0].id)
        await bench.pass_time()
        assert carts.handled == ["bad"]


async def test_a_dropped_dead_letter_is_gone() -> None:
    carts = Carts(attempts=1)
    carts.work.append(breaking("a", "b"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b")
        await bench.pass_time()
        letters = bench.client(carts.workflow).dead_letters()
        first, second = await listed(letters)
        await letters.drop(first.id)
        assert await listed(letters) == [second]
        for call in (letters.show, letters.replay, letters.drop):
            with pytest.raises(DeadLetterNotFound, match="has no dead letter"):
                await call(first.id)


async def test_nothing_is_changed_if_one_of_the_ids_is_not_there() -> None:
    carts = Carts(attempts=1)
    carts.work.append(breaking("a"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a")
        await bench.pass_time()
        letters = bench.client(carts.workflow).dead_letters()
        (letter,) = await listed(letters)
        for unknown in ("carts/nothing", "nothing", "carts/", ""):
            with pytest.raises(DeadLetterNotFound):
                await letters.drop(letter.id, unknown)
        assert await listed(letters) == [letter]


async def test_an_event_that_waits_for_its_next_attempt_is_not_a_dead_letter() -> None:
    carts = Carts(attempts=5)
    carts.work.append(breaking("a"))
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a")
        await bench.pass_time()
        assert await listed(bench.client(carts.workflow).dead_letters()) == []
        assert await dead(bench) == []


async def test_the_dead_letters_of_hooks_are_listed_too_and_replayed_hook_by_hook() -> None:
    workflow = packing()
    called = list[str]()
    broken = [True]

    @workflow.on_complete(retry=Retry(attempts=1))
    async def thank(run: ParcelRun) -> None:
        called.append("thank")
        if broken:
            raise ValueError("broken")

    @workflow.on_complete
    async def count(run: ParcelRun) -> None:
        called.append("count")

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.start(Role(hooks_group("parcels")))
        handle = await bench.client(workflow).trigger("order-1", Parcel())
        await bench.pass_time()
        letters = bench.client(workflow).dead_letters()
        (letter,) = await listed(letters)
        assert letter.id == f"hooks/{handle.run_id}-2"
        shown = await letters.show(letter.id)
        assert (shown.run_id, shown.version, shown.hooks) == (handle.run_id, 2, ("thank",))
        broken.clear()
        await letters.replay(letter.id)
        await bench.pass_time(1)
        assert sorted(called) == ["count", "thank", "thank"]
        assert await listed(letters) == []


async def test_a_connector_that_the_workflow_does_not_have_is_refused() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        with pytest.raises(InvalidInput, match=r"has no connector 'cart'\. Name one of"):
            bench.client(carts.workflow).dead_letters(connector="cart")


async def test_no_log_line_shows_the_data_of_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    carts = Carts(attempts=1)
    carts.work.append(breaking("secret"))
    async with Bench(carts.workflow) as bench:
        with caplog.at_level(logging.DEBUG):
            await connector(bench)
            carts.put("secret", key="secret")
            await bench.pass_time()
            letters = bench.client(carts.workflow).dead_letters()
            await letters.replay((await listed(letters))[0].id)
            await bench.pass_time()
    assert "secret" not in caplog.text
