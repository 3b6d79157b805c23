"""Cases of messages: attempts of their functions that fail."""

from datetime import timedelta

from msgspec.structs import replace

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    Awaits,
    MessageOutcome,
    MessageQuery,
    Version,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    SOON,
    after,
    awaited,
    callback,
    fail,
    failure,
    inbox,
    key,
    message_event,
    message_of,
    next_event,
    outcome_of,
    pause,
    post,
    publish_all,
    rest,
    resting_run,
    taking,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    acquire,
    new_run,
    store_all,
    stored_run,
    stored_runs,
    versions,
)


class MessageFailureCases(Conformance):
    async def test_a_failed_attempt_is_counted_and_makes_no_version(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await resting_run(store)
        message = callback(run)
        await post(store, message)
        await fail(store, failure(await message_of(store, message.key), attempt=1, retry_in=SOON))
        found = await message_of(store, message.key)
        assert (found.attempt, found.reason) == (1, "no card")
        assert (found.due_at, found.outcome) == (after(clock.now(), SOON), None)
        assert await versions(store, run.run_id) == [1]
        assert await inbox(store, run.run_id) == [message.key]

    async def test_a_message_that_fails_for_good_is_settled_at_the_version_of_its_run(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = new_run()
        await store_all(store, run, rest(run))
        message = callback(run, statuses=(PAID,))
        await post(store, message)
        await clock.advance(timedelta(seconds=5))
        await fail(store, failure(await message_of(store, message.key), attempt=3))
        found = await message_of(store, message.key)
        assert (found.attempt, found.reason) == (3, "no card")
        assert (found.outcome, found.version) == (MessageOutcome.FAILED, Version(2))
        assert (found.due_at, found.settled_at) == (None, clock.now())
        assert await versions(store, run.run_id) == [1, 2]
        assert await inbox(store, run.run_id) == []

    async def test_the_failed_messages_of_a_run_can_be_listed(self, store: RecordStore) -> None:
        run = await resting_run(store)
        names = ["m-3", "m-1", "m-2"]
        await post(store, *(callback(run, name) for name in names))
        for name in ("m-1", "m-3"):
            await fail(store, failure(await message_of(store, key(name))))
        found = await store.messages(MessageQuery(run_ids=(run.run_id,), failed=True))
        assert [message.key.id for message in found] == ["m-3", "m-1"]
        assert await inbox(store, run.run_id) == [key("m-2")]

    async def test_a_failure_of_a_settled_message_or_of_another_run_is_left_out(
        self, store: RecordStore
    ) -> None:
        run, other = await stored_runs(store, count=2)
        taken, waits = callback(run, "m-1"), callback(other, "m-2")
        await post(store, taken, waits)
        failures = [
            failure(await message_of(store, taken.key)),
            replace(failure(await message_of(store, waits.key)), run_id=run.run_id),
            replace(failure(await message_of(store, waits.key)), key=key("m-0")),
        ]
        await store_all(store, taking(run, taken.key))
        await fail(store, *failures)
        assert await outcome_of(store, taken.key) == (MessageOutcome.TAKEN, Version(2))
        assert (await message_of(store, waits.key)).attempt == 0
        assert await inbox(store, other.run_id) == [waits.key]

    async def test_a_counted_attempt_can_be_given_back(self, store: RecordStore) -> None:
        run = await resting_run(store)
        message = callback(run)
        await post(store, message)
        waiting = await message_of(store, message.key)
        await fail(store, failure(waiting, attempt=1, retry_in=SOON))
        await fail(store, failure(waiting, attempt=0, retry_in=0.0))
        assert (await message_of(store, message.key)).attempt == 0

    # --- an attempt fails -----------------------------------------------------------------------

    async def test_a_failed_attempt_puts_an_event_into_the_outbox_with_its_delay(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        message = callback(run)
        await post(store, message)
        await publish_all(store, publisher)
        await fail(store, failure(await message_of(store, message.key), retry_in=SOON))
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == []
        assert await next_event(store) == after(clock.now(), SOON)
        await clock.advance(timedelta(seconds=SOON))
        assert await publish_all(store, publisher) == [message_event(run)]

    async def test_a_write_wakes_the_run_when_the_first_of_its_messages_is_due(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        late, soon = (callback(run, name, statuses=(CREATED, PAID)) for name in ("m-1", "m-2"))
        await post(store, late, soon)
        for message, delay in ((late, 2 * SOON), (soon, SOON)):
            await fail(store, failure(await message_of(store, message.key), retry_in=delay))
        await store_all(store, rest(run))
        await publish_all(store, publisher)
        await clock.advance(timedelta(seconds=SOON))
        assert message_event(run, status=PAID) in await publish_all(store, publisher)

    async def test_a_failed_attempt_of_a_paused_run_puts_no_event_into_the_outbox(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        message = callback(run)
        await post(store, message)
        await store_all(store, pause(run, visit=1))
        await publish_all(store, publisher)
        await fail(store, failure(await message_of(store, message.key), retry_in=SOON))
        assert (await message_of(store, message.key)).attempt == 1
        assert await next_event(store) is None

    async def test_a_run_whose_only_message_fails_for_good_awaits_a_message_again(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        message = callback(run)
        await post(store, message)
        await publish_all(store, publisher)
        await fail(store, failure(await message_of(store, message.key)))
        assert await awaited(store, run) == (Awaits.MESSAGE, 0)
        assert await publish_all(store, publisher) == []

    async def test_a_run_whose_message_fails_for_good_still_awaits_its_step(
        self, store: Records
    ) -> None:
        run = await stored_run(store)
        message = callback(run)
        await post(store, message)
        await fail(store, failure(await message_of(store, message.key)))
        assert await awaited(store, run) == (Awaits.EVENT, 1)

    async def test_a_run_is_woken_for_its_other_messages_when_one_fails_for_good(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        one, two = callback(run, "m-1"), callback(run, "m-2")
        await post(store, one, two)
        await publish_all(store, publisher)
        await fail(store, failure(await message_of(store, one.key)))
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run)]
