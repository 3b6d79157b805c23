"""Cases of messages: which run gets one, and what a key that is used again gets."""

import pytest
from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    MessageKind,
    MessageQuery,
    NoRun,
    NotAwaited,
    Posted,
    RunState,
    Version,
    WriteGroup,
    new_run_id,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    callback,
    commit,
    end,
    inbox,
    key,
    message_of,
    post,
    post_at_once,
    taking,
)
from workflow_ray.testing.conformance.runs import (
    SHIPPED,
    new_run,
    store_all,
    stored_run,
    stored_runs,
)
from workflow_ray.testing.conformance.triggers import DIGEST, LOOKALIKES, OTHER_DIGEST


class MessageKeyCases(Conformance):
    # --- which run gets it ----------------------------------------------------------------------

    async def test_a_message_to_a_foreign_id_goes_to_its_unfinished_run(
        self, store: RecordStore
    ) -> None:
        first, second = new_run("order-42"), new_run("order-42")
        await store_all(store, first, end(first), second)
        message = callback(None, foreign_id="order-42")
        assert await post(store, message) == [Posted(message.key, second.run_id)]

    async def test_without_an_unfinished_run_the_newest_one_of_the_foreign_id_answers(
        self, store: RecordStore
    ) -> None:
        first, second = new_run("order-42"), new_run("order-42")
        await store_all(store, first, end(first), second, end(second))
        message = callback(None, foreign_id="order-42")
        assert await post(store, message) == [
            NotAwaited(message.key, second.run_id, SHIPPED, RunState.COMPLETED, Version(2))
        ]

    async def test_a_run_that_ends_in_the_same_call_answers_for_its_foreign_id(
        self, store: RecordStore
    ) -> None:
        run = new_run("order-42")
        await store_all(store, run)
        message = callback(None, foreign_id="order-42")
        answer = await commit(store, WriteGroup(writes=(end(run),), messages=(message,)))
        assert answer.posts == (
            NotAwaited(message.key, run.run_id, SHIPPED, RunState.COMPLETED, Version(2)),
        )

    async def test_a_message_to_an_unknown_run_is_left_out(self, store: RecordStore) -> None:
        await stored_run(store)
        named = callback(None, "m-1", foreign_id="order-0")
        by_id = replace(named, key=key("m-2"), foreign_id=None, run_id=new_run_id())
        assert await post(store, named, by_id) == [NoRun(named.key), NoRun(by_id.key)]
        assert await store.messages(MessageQuery(keys=(named.key, by_id.key))) == []

    async def test_a_message_to_a_run_of_another_workflow_is_left_out(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run, workflow="invoices")
        named = callback(None, "m-2", foreign_id=run.foreign_id, workflow="invoices")
        assert await post(store, message, named) == [NoRun(message.key), NoRun(named.key)]

    @pytest.mark.parametrize("pair", LOOKALIKES.values(), ids=LOOKALIKES.keys())
    async def test_foreign_ids_and_message_ids_are_compared_byte_for_byte(
        self, store: RecordStore, pair: tuple[str, str]
    ) -> None:
        runs = [new_run(text) for text in pair]
        await store_all(store, *runs)
        for run, text in zip(runs, pair, strict=True):
            message = callback(None, text, foreign_id=text)
            assert await post(store, message) == [Posted(message.key, run.run_id)]

    async def test_a_message_may_go_to_a_run_that_is_new_in_the_same_group(
        self, store: RecordStore
    ) -> None:
        run = new_run("order-42")
        messages = (callback(None, "m-1", foreign_id="order-42"), callback(run, "m-2"))
        answer = await commit(store, WriteGroup(writes=(run,), messages=messages))
        assert list(answer.posts) == [Posted(message.key, run.run_id) for message in messages]

    # --- keys -----------------------------------------------------------------------------------

    async def test_a_key_that_was_posted_gets_its_run_and_its_first_digest_again(
        self, store: RecordStore
    ) -> None:
        run, other = await stored_runs(store, count=2)
        first = callback(run, digest=DIGEST, payload=b"1")
        await post(store, first)
        again = callback(other, digest=OTHER_DIGEST, payload=b"2")
        assert await post(store, again) == [Posted(first.key, run.run_id, DIGEST, is_new=False)]
        assert (await message_of(store, first.key)).payload == b"1"
        assert await inbox(store, other.run_id) == []

    async def test_a_key_is_known_before_its_run_is_looked_up(self, store: RecordStore) -> None:
        run = new_run("order-42")
        await store_all(store, run)
        message = callback(None, foreign_id="order-42")
        await post(store, message)
        await store_all(store, end(run), new_run("order-42"))
        assert (
            await post(store, message, callback(None, foreign_id="order-0"))
            == [Posted(message.key, run.run_id, is_new=False)] * 2
        )

    async def test_a_key_outlives_what_became_of_its_message(self, store: RecordStore) -> None:
        run = await stored_run(store)
        message = callback(run, digest=DIGEST)
        await post(store, message)
        await store_all(store, taking(run, message.key))
        assert await post(store, message) == [Posted(message.key, run.run_id, DIGEST, is_new=False)]
        assert await inbox(store, run.run_id) == []

    async def test_a_key_that_is_twice_in_one_call_is_stored_once(self, store: RecordStore) -> None:
        run = await stored_run(store)
        first, second = callback(run, digest=DIGEST), callback(run, digest=OTHER_DIGEST)
        answers = await store.store(
            [WriteGroup(messages=(first, second)), WriteGroup(messages=(first,))]
        )
        assert [post for answer in answers for post in getattr(answer, "posts", ())] == [
            Posted(first.key, run.run_id, DIGEST),
            Posted(first.key, run.run_id, DIGEST, is_new=False),
            Posted(first.key, run.run_id, DIGEST, is_new=False),
        ]
        assert await inbox(store, run.run_id) == [first.key]

    async def test_one_of_many_concurrent_posts_of_a_key_is_stored(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run, digest=DIGEST)
        answers = await post_at_once(store, [message] * CALLERS)
        assert sorted(answers, key=lambda answer: isinstance(answer, Posted) and answer.is_new) == [
            *[Posted(message.key, run.run_id, DIGEST, is_new=False)] * (CALLERS - 1),
            Posted(message.key, run.run_id, DIGEST),
        ]
        assert await inbox(store, run.run_id) == [message.key]

    async def test_one_of_many_concurrent_posts_of_a_key_to_two_runs_is_stored(
        self, store: RecordStore
    ) -> None:
        runs = await stored_runs(store, count=2)
        answers = await post_at_once(store, [callback(runs[at % 2]) for at in range(CALLERS)])
        (holder,) = {answer.run_id for answer in answers if isinstance(answer, Posted)}
        counts = {run.run_id: len(await inbox(store, run.run_id)) for run in runs}
        assert counts == {run.run_id: int(run.run_id == holder) for run in runs}

    async def test_each_workflow_and_each_kind_has_keys_of_its_own(
        self, store: RecordStore
    ) -> None:
        order, invoice = new_run(), new_run(workflow="invoices")
        await store_all(store, order, invoice)
        messages = [
            callback(order),
            callback(invoice, workflow="invoices"),
            callback(order, kind=MessageKind.TIMEOUT),
        ]
        assert await post(store, *messages) == [
            Posted(message.key, run.run_id)
            for message, run in zip(messages, (order, invoice, order), strict=True)
        ]
