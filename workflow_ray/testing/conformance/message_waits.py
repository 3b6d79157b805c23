"""Cases of RecordStore.messages: waits for messages, and for what becomes of them."""

from datetime import timedelta

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import MessageKey, MessageOutcome, MessageQuery, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Conformance,
    begin,
    result_across_processes,
    result_at_timeout,
    result_of,
    result_within,
    settle,
)
from workflow_ray.testing.conformance.posts import (
    SOON,
    callback,
    commit,
    fail,
    failure,
    key,
    message_of,
    post,
    rest,
    resting_run,
    taking,
    too_soon,
)
from workflow_ray.testing.conformance.runs import store_all, stored_run, stored_runs


class MessageWaitCases(Conformance):
    async def test_a_wait_for_a_message_is_woken_when_it_is_taken(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message = callback(run)
        await post(store, message)
        waiting = await begin(clock, store.messages(asking(message.key), settled=True, wait=LONG))
        await store_all(store, taking(run, message.key))
        (found,) = await result_of(waiting)
        assert (found.outcome, found.version) == (MessageOutcome.TAKEN, 2)

    async def test_a_wait_for_a_message_is_woken_when_it_fails_for_good(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        message = callback(await resting_run(store))
        await post(store, message)
        waiting = await begin(clock, store.messages(asking(message.key), settled=True, wait=LONG))
        posted = await message_of(store, message.key)
        await fail(store, failure(posted, retry_in=SOON))
        await settle(clock)
        assert not waiting.done()
        await fail(store, failure(posted, attempt=2))
        (found,) = await result_of(waiting)
        assert (found.outcome, found.attempt) == (MessageOutcome.FAILED, 2)

    async def test_a_wait_for_a_message_is_woken_when_it_is_passed(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await resting_run(store)
        message = callback(run)
        await post(store, message)
        waiting = await begin(clock, store.messages(asking(message.key), settled=True, wait=LONG))
        await store_all(store, rest(run))
        (found,) = await result_of(waiting)
        assert found.outcome is MessageOutcome.PASSED

    async def test_a_wait_for_a_message_ends_when_it_expires(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        await post(store, message := too_soon(run))
        waiting = await begin(clock, store.messages(asking(message.key), settled=True, wait=LONG))
        await clock.advance(timedelta(seconds=SOON - 1))
        await settle(clock)
        assert not waiting.done()
        (found,) = await result_within(clock, waiting, seconds=1)
        assert found.outcome is MessageOutcome.EXPIRED

    async def test_a_wait_for_a_message_is_woken_when_it_is_settled_as_expired(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        await post(store, message := too_soon(run))
        await clock.advance(timedelta(seconds=SOON))
        await commit(store, WriteGroup(expires=("orders",)))
        (found,) = await store.messages(asking(message.key), settled=True, wait=LONG)
        assert found.outcome is MessageOutcome.EXPIRED

    async def test_a_wait_returns_those_that_are_settled_and_no_others(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        one, two = await stored_runs(store, count=2)
        first, second = callback(one, "m-1"), callback(two, "m-2")
        await post(store, first, second)
        query = asking(first.key, second.key, key("m-0"))
        waiting = await begin(clock, store.messages(query, settled=True, wait=LONG))
        await store_all(store, taking(two, second.key))
        assert [found.key for found in await result_of(waiting)] == [second.key]
        assert await store.messages(asking(first.key), settled=True) == []

    async def test_a_wait_without_settled_is_woken_by_the_message_itself(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        waits = [
            await begin(clock, store.messages(query, wait=LONG))
            for query in (asking(key("m-1")), MessageQuery(run_ids=(run.run_id,)))
        ]
        await post(store, callback(run))
        for waiting in waits:
            assert [found.key for found in await result_of(waiting)] == [key("m-1")]

    async def test_messages_that_are_there_end_a_wait_at_once(self, store: RecordStore) -> None:
        await post(store, message := callback(await stored_run(store)))
        assert len(await store.messages(asking(message.key), wait=LONG)) == 1

    async def test_a_wait_for_messages_ends_with_nothing(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await post(store, message := callback(await stored_run(store)))
        waiting = await begin(clock, store.messages(asking(message.key), settled=True, wait=5))
        assert await result_at_timeout(clock, waiting, seconds=5) == []

    async def test_a_message_that_another_process_takes_ends_the_wait(
        self, store: Records, another: Another, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        await post(store, message := callback(run))
        async with another() as other:
            waiting = await begin(
                clock, other.messages(asking(message.key), settled=True, wait=LONG)
            )
            await store_all(store, taking(run, message.key))
            (found,) = await result_across_processes(clock, waiting)
        assert found.outcome is MessageOutcome.TAKEN

    async def test_a_message_that_another_process_posts_ends_the_wait(
        self, store: Records, another: Another, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        async with another() as other:
            waiting = await begin(clock, store.messages(asking(key("m-1")), wait=LONG))
            await post(other, callback(run))
            (found,) = await result_across_processes(clock, waiting)
        assert found.run_id == run.run_id


def asking(*keys: MessageKey) -> MessageQuery:
    return MessageQuery(keys=keys)
