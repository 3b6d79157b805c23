"""Cases of inboxes: messages that make a run await an event, and the events that say so."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.ports import Records
from workflow_ray.records import (
    Awaits,
    OutgoingEvent,
    Version,
    WaitingQuery,
    WriteGroup,
    run_state_topic,
    status_topic,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    EVERYWHERE,
    SOON,
    awaited,
    callback,
    end,
    inbox,
    message_event,
    pause,
    post,
    publish_all,
    race,
    rest,
    resting_run,
    stay,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    acquire,
    event,
    new_run,
    step,
    store_all,
    stored_run,
)

PAID_TOPIC = status_topic("orders", PAID)


class InboxCases(Conformance):
    # --- a message is posted --------------------------------------------------------------------

    async def test_an_accepted_message_makes_its_run_await_an_event(self, store: Records) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        assert await awaited(store, run) == (Awaits.MESSAGE, 0)
        await post(store, callback(run))
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run)]

    async def test_each_accepted_message_puts_an_event_into_the_outbox(
        self, store: Records
    ) -> None:
        """The event of an earlier one may be in hand, and have missed the later one."""
        publisher, run = await acquire(store), await resting_run(store)
        for name in ("m-1", "m-2"):
            await post(store, callback(run, name))
            assert await publish_all(store, publisher) == [message_event(run)]

    async def test_a_message_to_a_run_that_awaits_its_step_leaves_the_step_asked_for(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await stored_run(store)
        await post(store, callback(run))
        assert await awaited(store, run) == (Awaits.EVENT, 1)
        assert await publish_all(store, publisher) == [message_event(run)]

    async def test_a_message_to_a_run_with_a_delayed_event_does_not_wait_for_it(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), new_run(events=[event(delay=7200)])
        await store_all(store, run)
        await post(store, callback(run))
        assert await publish_all(store, publisher) == [message_event(run)]

    async def test_a_message_that_is_only_kept_wakes_nobody(self, store: Records) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run, statuses=(PAID,), kept_at=None))
        assert await awaited(store, run) == (Awaits.MESSAGE, 0)
        assert await publish_all(store, publisher) == []

    async def test_a_message_to_a_paused_run_wakes_nobody(self, store: Records) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await store_all(store, pause(run, visit=1))
        await post(store, callback(run))
        assert await awaited(store, run) == (Awaits.NOBODY, 0)
        assert await publish_all(store, publisher) == []

    async def test_a_message_that_was_posted_before_wakes_nobody(self, store: Records) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run))
        await publish_all(store, publisher)
        await post(store, callback(run))
        assert await publish_all(store, publisher) == []

    async def test_the_event_of_a_message_has_the_partition_of_its_run(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), new_run(partition=3)
        await store_all(store, run)
        await post(store, callback(run))
        assert await publish_all(store, publisher) == [replace(message_event(run), partition=3)]

    # --- a write lands --------------------------------------------------------------------------

    async def test_entering_a_status_that_accepts_a_kept_message_makes_the_run_await_an_event(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run, statuses=(PAID,), kept_at=(CREATED,)))
        await store_all(store, rest(run))
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run, status=PAID)]

    async def test_a_write_lets_the_run_wait_if_no_message_is_accepted(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run, statuses=(SHIPPED,), kept_at=None))
        await store_all(store, rest(run))
        assert await awaited(store, run) == (Awaits.MESSAGE, 0)
        assert await publish_all(store, publisher) == []

    async def test_the_event_of_a_write_itself_wakes_the_run_for_its_messages_too(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run, statuses=(CREATED, PAID)))
        await publish_all(store, publisher)
        await store_all(store, step(run, events=[event(topic=PAID_TOPIC)]))
        (only,) = await publish_all(store, publisher)
        assert (only.topic, only.version) == (PAID_TOPIC, Version(2))

    @pytest.mark.parametrize(
        "other",
        [event(topic=PAID_TOPIC, delay=7200), event(topic=run_state_topic("orders"))],
        ids=["delayed", "of a run state"],
    )
    async def test_a_delayed_event_or_one_of_another_topic_does_not_stand_for_the_messages(
        self, store: Records, other: OutgoingEvent
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run, statuses=(CREATED, PAID)))
        await publish_all(store, publisher)
        await store_all(store, step(run, events=[other]))
        assert message_event(run, status=PAID) in await publish_all(store, publisher)
        assert await awaited(store, run) == (Awaits.EVENT, 2)

    async def test_a_write_that_takes_one_message_wakes_the_run_for_the_next(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        one, two = callback(run, "m-1"), callback(run, "m-2")
        await post(store, one, two)
        await publish_all(store, publisher)
        first = replace(stay(run, visit=1), takes=(one.key,))
        await store_all(store, first)
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run)]
        await store_all(store, replace(stay(first, visit=1), takes=(two.key,)))
        assert await awaited(store, run) == (Awaits.MESSAGE, 0)
        assert await publish_all(store, publisher) == []

    async def test_a_paused_run_is_woken_for_its_messages_when_it_is_resumed(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        paused = pause(run, visit=1)
        await store_all(store, paused)
        await post(store, callback(run, "m-1"))
        await store_all(store, still := pause(paused, visit=1))
        assert await awaited(store, run) == (Awaits.NOBODY, 0)
        await store_all(store, stay(still, visit=1))
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run)]

    async def test_a_run_that_ends_is_not_woken(self, store: Records) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run, statuses=EVERYWHERE, kept_at=None))
        await publish_all(store, publisher)
        await store_all(store, end(run))
        assert await awaited(store, run) == (Awaits.NOBODY, 0)
        assert await publish_all(store, publisher) == []

    # --- nobody is forgotten --------------------------------------------------------------------

    async def test_a_run_with_an_accepted_message_whose_event_is_lost_is_found_waiting(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        await post(store, callback(run))
        await clock.advance(timedelta(seconds=SOON))
        query = WaitingQuery(workflow="orders", partition=0, quiet=SOON)
        assert (await store.waiting(query)).events == ()
        await publish_all(store, publisher)
        assert (await store.waiting(query)).events == (message_event(run),)

    async def test_a_message_and_a_transition_to_a_status_that_accepts_it_leave_an_event(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        messages = [callback(run, f"m-{at}", statuses=(PAID,), kept_at=None) for at in range(50)]
        await race(store, [WriteGroup(messages=(message,)) for message in messages], rest(run))
        assert len(await inbox(store, run.run_id)) == CALLERS
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert message_event(run, status=PAID) in await publish_all(store, publisher)

    async def test_a_run_that_takes_one_of_many_concurrent_messages_is_woken_for_the_others(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await resting_run(store)
        first = callback(run, "m-0")
        await post(store, first)
        messages = [callback(run, f"m-{at}") for at in range(1, CALLERS)]
        taken = replace(stay(run, visit=1), takes=(first.key,))
        await race(store, [WriteGroup(messages=(message,)) for message in messages], taken)
        assert len(await inbox(store, run.run_id)) == CALLERS - 1
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert message_event(run) in await publish_all(store, publisher)
