"""Cases of messages: writes that take them."""

from datetime import timedelta

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Conflict,
    MessageGone,
    MessageOutcome,
    MessageQuery,
    Stored,
    Version,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    callback,
    inbox,
    key,
    message_of,
    outcome_of,
    post,
    resting_run,
    store_at_once,
    taking,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
    versions,
)


class MessageTakeCases(Conformance):
    async def test_a_write_takes_messages_at_the_version_that_it_makes(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        one, two, left = (
            callback(run, f"m-{at}", statuses=(CREATED, PAID), payload=b"7") for at in range(3)
        )
        await post(store, one, two, left)
        await clock.advance(timedelta(seconds=5))
        write = taking(run, one.key, two.key)
        assert await store_all(store, write) == [Stored(run.run_id, Version(2))]
        assert await inbox(store, run.run_id) == [left.key]
        for taken in (one, two):
            message = await message_of(store, taken.key)
            assert (message.outcome, message.version) == (MessageOutcome.TAKEN, Version(2))
            assert (message.settled_at, message.payload) == (clock.now(), b"7")

    async def test_a_write_that_takes_a_settled_message_is_left_out(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run, statuses=(CREATED, PAID))
        await post(store, message)
        first = taking(run, message.key)
        await store_all(store, first)
        second = taking(first, message.key, status=SHIPPED)
        assert await store_all(store, second) == [MessageGone(run.run_id, message.key)]
        assert await versions(store, run.run_id) == [1, 2]

    async def test_a_write_that_takes_an_unknown_message_or_that_of_another_run_is_left_out(
        self, store: RecordStore
    ) -> None:
        run, other = await stored_runs(store, count=2)
        message = callback(other)
        await post(store, message)
        for taken in (key("m-0"), message.key):
            assert await store_all(store, taking(run, taken)) == [MessageGone(run.run_id, taken)]
        assert await versions(store, run.run_id) == [1]
        assert await inbox(store, other.run_id) == [message.key]

    async def test_a_write_of_which_one_message_is_gone_takes_none(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run)
        await post(store, message)
        write = taking(run, message.key, key("m-0"))
        assert await store_all(store, write) == [MessageGone(run.run_id, key("m-0"))]
        assert await inbox(store, run.run_id) == [message.key]

    async def test_a_repeated_write_that_takes_a_message_is_stored_again(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run)
        await post(store, message)
        write = taking(run, message.key)
        stored_once = [Stored(run.run_id, Version(2))]
        assert await store_all(store, write) == stored_once
        assert await store_all(store, write, write) == stored_once * 2
        assert (await stored(store, run.run_id)).messages == 0

    async def test_a_stale_write_takes_nothing(self, store: RecordStore) -> None:
        run = await stored_run(store)
        message = callback(run, statuses=(CREATED, PAID))
        await post(store, message)
        await store_all(store, step(run))
        assert await store_all(store, taking(run, message.key)) == [
            Conflict(run.run_id, Version(2))
        ]
        assert await inbox(store, run.run_id) == [message.key]

    async def test_one_of_many_concurrent_takes_of_a_message_is_stored(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run)
        await post(store, message)
        answers = await store_at_once(store, [taking(run, message.key) for _ in range(CALLERS)])
        assert sorted(answers, key=lambda answer: isinstance(answer, Stored)) == [
            *[Conflict(run.run_id, Version(2))] * (CALLERS - 1),
            Stored(run.run_id, Version(2)),
        ]
        assert await outcome_of(store, message.key) == (MessageOutcome.TAKEN, Version(2))
        assert (await stored(store, run.run_id)).messages == 0

    async def test_writes_of_one_call_take_a_message_once(self, store: RecordStore) -> None:
        run = await stored_run(store)
        message = callback(run, statuses=(CREATED, PAID))
        await post(store, message)
        first = taking(run, message.key)
        second = taking(first, message.key)
        assert await store_all(store, first, second) == [
            Stored(run.run_id, Version(2)),
            MessageGone(run.run_id, message.key),
        ]

    async def test_of_two_messages_that_move_a_run_one_is_taken_and_one_is_passed(
        self, store: RecordStore
    ) -> None:
        run = await resting_run(store)
        messages = [callback(run, f"m-{at}") for at in range(CALLERS)]
        await post(store, *messages)
        answers = await store_at_once(store, [taking(run, message.key) for message in messages])
        assert [type(answer) for answer in answers].count(Stored) == 1
        found = await store.messages(MessageQuery(keys=tuple(item.key for item in messages)))
        outcomes = [message.outcome for message in found]
        assert outcomes.count(MessageOutcome.TAKEN) == 1
        assert outcomes.count(MessageOutcome.PASSED) == CALLERS - 1
        assert await versions(store, run.run_id) == [1, 2]
