"""Cases of messages: how they are posted, kept and read."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    MAX_DATA,
    MAX_FOREIGN_ID,
    Fenced,
    Message,
    MessageQuery,
    NewMessage,
    NotAwaited,
    Posted,
    RunState,
    Version,
    WriteGroup,
    new_run_id,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    EVERYWHERE,
    SOON,
    after,
    callback,
    end,
    fail,
    failure,
    inbox,
    key,
    message_of,
    pause,
    post,
    rest,
    resting_run,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    PAID,
    QUARTER,
    SHIPPED,
    acquire,
    new_run,
    store_all,
    stored,
    stored_run,
    stored_runs,
    versions,
)
from workflow_ray.testing.conformance.triggers import FOREIGN_IDS, OTHER_DIGEST

RUN_ID = new_run_id()
FLAWED: dict[str, NewMessage] = {
    "a long key": callback(None, "x" * (MAX_FOREIGN_ID + 1), foreign_id="order-42"),
    "NUL in a key": callback(None, "m\0", foreign_id="order-42"),
    "half a surrogate pair in a foreign id": callback(None, foreign_id="order-\ud83e"),
    "a short digest": callback(None, foreign_id="order-42", digest=b"x" * 15),
    "too large a payload": callback(None, foreign_id="order-42", payload=b"x" * (MAX_DATA + 1)),
    "no run": callback(None),
    "two ways to name its run": replace(callback(None, foreign_id="order-42"), run_id=RUN_ID),
}


class MessageCases(Conformance):
    # --- what is stored -------------------------------------------------------------------------

    async def test_a_message_is_stored_as_it_was_posted(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await resting_run(store)
        posted_at = clock.now()
        new = NewMessage(
            key=key("m-1"),
            run_id=run.run_id,
            name="paid",
            statuses=(CREATED, SHIPPED),
            kept_at=(PAID,),
            keep=SOON,
            visit=Version(1),
            payload=b'{"receipt": "\xf0\x9f\xa6\x84"}',
            digest=OTHER_DIGEST,
            by="client-7",
        )
        assert await post(store, new) == [Posted(new.key, run.run_id, OTHER_DIGEST)]
        assert await message_of(store, new.key) == Message(
            key=new.key,
            run_id=run.run_id,
            name="paid",
            statuses=(CREATED, SHIPPED),
            kept_at=(PAID,),
            visit=Version(1),
            payload=b'{"receipt": "\xf0\x9f\xa6\x84"}',
            digest=OTHER_DIGEST,
            by="client-7",
            posted_at=posted_at,
        )

    async def test_a_message_counts_on_its_record_and_makes_no_version(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await resting_run(store)
        await clock.advance(timedelta(seconds=1))
        await post(store, callback(run, "m-1"), callback(run, "m-2"))
        record = await stored(store, run.run_id)
        assert (record.messages, record.version, record.updated_at) == (2, 1, run.updated_at)
        assert await versions(store, run.run_id) == [1]

    @pytest.mark.parametrize("message_id", FOREIGN_IDS.values(), ids=FOREIGN_IDS.keys())
    async def test_a_message_id_is_stored_as_it_was_given(
        self, store: RecordStore, message_id: str
    ) -> None:
        await post(store, callback(await stored_run(store), message_id))
        assert (await message_of(store, key(message_id))).key.id == message_id

    async def test_messages_are_read_in_the_order_in_which_they_were_posted(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        names = ["m-3", "m-1", "m-4", "m-2"]
        await post(store, *(callback(run, name) for name in names[:2]))
        await post(store, *(callback(run, name) for name in names[2:]))
        assert await inbox(store, run.run_id) == [key(name) for name in names]
        found = await store.messages(MessageQuery(keys=tuple(key(name) for name in sorted(names))))
        assert [message.key.id for message in found] == names

    async def test_the_messages_of_many_runs_are_read_together(self, store: RecordStore) -> None:
        one, two, three = await stored_runs(store, count=3)
        await post(store, callback(one, "m-1"), callback(two, "m-2"), callback(three, "m-3"))
        found = await store.messages(MessageQuery(run_ids=(three.run_id, one.run_id)))
        assert [message.key.id for message in found] == ["m-1", "m-3"]

    async def test_unknown_keys_and_runs_without_messages_are_left_out(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        await post(store, callback(run))
        found = await store.messages(MessageQuery(keys=(key("m-0"), key("m-1"))))
        assert [message.key.id for message in found] == ["m-1"]
        assert await store.messages(MessageQuery(run_ids=(new_run_id(),))) == []
        assert await store.messages(MessageQuery()) == []

    async def test_messages_end_with_the_one_whose_payload_exceeds_the_bound(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        for at in range(6):
            await post(store, callback(run, f"m-{at}", payload=QUARTER))
        found = await store.messages(MessageQuery(run_ids=(run.run_id,)))
        assert [message.key.id for message in found] == [f"m-{at}" for at in range(5)]
        assert sum(len(message.payload) for message in found) > BATCH_DATA

    async def test_messages_without_payloads_end_at_no_bound_of_bytes(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        for at in range(6):
            await post(store, callback(run, f"m-{at}", payload=QUARTER))
        await post(store, callback(run, "m-6", payload=b""))
        for limit, expected in ((1000, 7), (5, 5)):
            query = MessageQuery(run_ids=(run.run_id,), payloads=False, limit=limit)
            found = await store.messages(query)
            assert [message.key.id for message in found] == [f"m-{at}" for at in range(expected)]
            assert {message.payload for message in found} == {b""}

    async def test_a_page_of_messages_ends_at_its_limit(self, store: RecordStore) -> None:
        one, two = await stored_runs(store, count=2)
        await post(store, callback(one, "m-1"), callback(two, "m-2"), callback(one, "m-3"))
        by_run = MessageQuery(run_ids=(one.run_id, two.run_id), limit=2)
        by_key = MessageQuery(keys=(key("m-3"), key("m-2")), limit=1)
        for query, expected in ((by_run, ["m-1", "m-2"]), (by_key, ["m-2"])):
            assert [found.key.id for found in await store.messages(query)] == expected

    async def test_messages_whose_next_attempt_is_not_due_can_be_left_out(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await resting_run(store)
        await post(store, callback(run, "m-1"), callback(run, "m-2"))
        await fail(store, failure(await message_of(store, key("m-1")), retry_in=SOON))
        query = MessageQuery(run_ids=(run.run_id,), due=True, limit=1)
        assert [found.key.id for found in await store.messages(query)] == ["m-2"]
        await clock.advance(timedelta(seconds=SOON))
        assert [found.key.id for found in await store.messages(query)] == ["m-1"]

    # --- whether it is stored -------------------------------------------------------------------

    async def test_a_message_that_is_neither_accepted_nor_kept_tells_where_the_run_is(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run, statuses=(PAID,), kept_at=(SHIPPED,))
        assert await post(store, message) == [
            NotAwaited(message.key, run.run_id, CREATED, RunState.INITIATED, Version(1))
        ]
        assert await store.messages(MessageQuery(keys=(message.key,))) == []
        assert (await stored(store, run.run_id)).messages == 0

    async def test_a_message_that_was_left_out_may_be_posted_again(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run, statuses=(PAID,))
        await post(store, message)
        await store_all(store, rest(run))
        assert await post(store, message) == [Posted(message.key, run.run_id)]

    @pytest.mark.parametrize("kept_at", [(CREATED, SHIPPED), None], ids=["named", "all"])
    async def test_a_message_that_comes_too_soon_is_kept_at_the_statuses_that_it_names(
        self, store: RecordStore, kept_at: tuple[int, ...] | None
    ) -> None:
        run = await stored_run(store)
        message = callback(run, statuses=(PAID,), kept_at=kept_at)
        assert await post(store, message) == [Posted(message.key, run.run_id)]
        assert await inbox(store, run.run_id) == [message.key]

    async def test_only_a_message_that_is_not_yet_accepted_expires(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        accepted = callback(run, "m-1", kept_at=None, keep=SOON)
        kept = callback(run, "m-2", statuses=(PAID,), kept_at=None, keep=SOON)
        forever = callback(run, "m-3", statuses=(PAID,), kept_at=None)
        await post(store, accepted, kept, forever)
        expiries = [
            (await message_of(store, message.key)).expires_at
            for message in (accepted, kept, forever)
        ]
        assert expiries == [None, after(clock.now(), SOON), None]

    async def test_a_message_to_another_visit_is_left_out(self, store: RecordStore) -> None:
        run = new_run()
        await store_all(store, run, rest(run))
        other, this = (
            callback(run, f"visit-{visit}", statuses=(PAID,), kept_at=None, visit=visit)
            for visit in (1, 2)
        )
        assert await post(store, other, this) == [
            NotAwaited(other.key, run.run_id, PAID, RunState.RUNNING, Version(2)),
            Posted(this.key, run.run_id),
        ]

    async def test_a_message_to_a_paused_run_is_stored(self, store: RecordStore) -> None:
        run = await stored_run(store)
        await store_all(store, pause(run, visit=1))
        message = callback(run)
        assert await post(store, message) == [Posted(message.key, run.run_id)]

    @pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.CANCELLED])
    async def test_a_message_to_a_finished_run_is_left_out(
        self, store: RecordStore, state: RunState
    ) -> None:
        run = await stored_run(store)
        await store_all(store, end(run, run_state=state))
        message = callback(run, statuses=EVERYWHERE, kept_at=None)
        assert await post(store, message) == [
            NotAwaited(message.key, run.run_id, SHIPPED, state, Version(2))
        ]

    # --- what prevents it -----------------------------------------------------------------------

    async def test_a_group_with_an_old_fence_posts_nothing(self, store: Records) -> None:
        run, old = await stored_run(store), await acquire(store, CONSUMERS)
        new = await acquire(store, CONSUMERS)
        message = callback(run)
        answers = await store.store([WriteGroup(messages=(message,), fence=old)])
        assert answers == [Fenced(old.role, new.epoch)]
        assert await inbox(store, run.run_id) == []
        assert await post(store, message, fence=new) == [Posted(message.key, run.run_id)]

    @pytest.mark.parametrize("flawed", FLAWED.values(), ids=FLAWED.keys())
    async def test_a_message_that_not_every_store_can_hold_prevents_the_whole_call(
        self, store: RecordStore, flawed: NewMessage
    ) -> None:
        run = new_run("order-42")
        with pytest.raises(WriteRejected):
            await store.store([WriteGroup(writes=(run,)), WriteGroup(messages=(flawed,))])
        assert await store.lookup([run.run_id], fresh=True) == [None]
