"""Cases of messages that are passed by a transition, or expire."""

from datetime import timedelta

import pytest

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    MessageGone,
    MessageOutcome,
    MessageQuery,
    NotAwaited,
    Posted,
    RunState,
    Stored,
    Version,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    SOON,
    after,
    callback,
    commit,
    end,
    fail,
    failure,
    inbox,
    message_of,
    outcome_of,
    post,
    race,
    rest,
    resting_run,
    stay,
    taking,
    too_soon,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    new_run,
    store_all,
    stored,
    stored_run,
    versions,
)


class MessageEndCases(Conformance):
    # --- passed ---------------------------------------------------------------------------------

    async def test_messages_that_the_next_status_neither_accepts_nor_keeps_are_passed(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await resting_run(store)
        passed = callback(run, "passed")
        kept = callback(run, "kept", kept_at=(PAID,))
        accepted = callback(run, "accepted", statuses=(CREATED, PAID))
        await post(store, passed, kept, accepted)
        await clock.advance(timedelta(seconds=5))
        await store_all(store, rest(run))
        found = await message_of(store, passed.key)
        assert (found.outcome, found.version) == (MessageOutcome.PASSED, Version(2))
        assert found.settled_at == clock.now()
        assert await inbox(store, run.run_id) == [kept.key, accepted.key]

    async def test_a_write_that_stays_at_the_status_passes_no_message(
        self, store: RecordStore
    ) -> None:
        run = await resting_run(store)
        message = callback(run, visit=1)
        await post(store, message)
        await store_all(store, stay(run, visit=1))
        assert await inbox(store, run.run_id) == [message.key]

    async def test_a_message_to_one_visit_is_passed_when_the_status_is_entered_again(
        self, store: RecordStore
    ) -> None:
        run = await resting_run(store)
        once, always = callback(run, "m-1", visit=1), callback(run, "m-2")
        await post(store, once, always)
        await store_all(store, rest(run, status=CREATED))
        assert await outcome_of(store, once.key) == (MessageOutcome.PASSED, Version(2))
        assert await inbox(store, run.run_id) == [always.key]

    @pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.CANCELLED])
    async def test_the_end_of_a_run_passes_every_message(
        self, store: RecordStore, state: RunState
    ) -> None:
        run = await resting_run(store)
        messages = (
            callback(run, "m-1", statuses=(CREATED, SHIPPED)),
            callback(run, "m-2", statuses=(PAID,), kept_at=None),
        )
        await post(store, *messages)
        await store_all(store, end(run, run_state=state))
        for message in messages:
            assert await outcome_of(store, message.key) == (MessageOutcome.PASSED, Version(2))
        assert await inbox(store, run.run_id) == []

    # --- expired --------------------------------------------------------------------------------

    async def test_a_message_that_has_expired_is_read_as_settled(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message, expires_at = too_soon(run), after(clock.now(), SOON)
        await post(store, message)
        await clock.advance(timedelta(seconds=SOON, microseconds=-1))
        assert await outcome_of(store, message.key) == (None, None)
        assert await inbox(store, run.run_id) == [message.key]
        await clock.advance(timedelta(microseconds=1))
        found = await message_of(store, message.key)
        assert (found.outcome, found.version) == (MessageOutcome.EXPIRED, Version(1))
        assert found.settled_at == expires_at
        assert await store.messages(MessageQuery(run_ids=(run.run_id,))) == []

    async def test_a_group_settles_the_expired_messages_of_a_workflow(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run, invoice = await stored_run(store), new_run(workflow="invoices")
        await store_all(store, invoice)
        gone, later = too_soon(run, "m-1"), too_soon(run, "m-2", keep=2 * SOON)
        other = too_soon(invoice, "m-1", workflow="invoices")
        await post(store, gone, later, other)
        expires_at = after(clock.now(), SOON)
        await clock.advance(timedelta(seconds=SOON + 1))
        for _ in range(2):
            await commit(store, WriteGroup(expires=("orders",)))
            assert await inbox(store, run.run_id) == [later.key]
        found = await message_of(store, gone.key)
        assert (found.outcome, found.version) == (MessageOutcome.EXPIRED, Version(1))
        assert found.settled_at == expires_at
        assert (await stored(store, invoice.run_id)).messages == 1
        assert await versions(store, run.run_id) == [1]

    async def test_a_group_settles_at_most_500_expired_messages_of_a_workflow(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        await post(store, *(too_soon(run, f"m-{at}") for at in range(501)))
        await clock.advance(timedelta(seconds=SOON))
        for left in (1, 0):
            await commit(store, WriteGroup(expires=("orders",)))
            assert (await stored(store, run.run_id)).messages == left

    async def test_a_write_settles_the_expired_messages_of_its_run(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message, expires_at = too_soon(run), after(clock.now(), SOON)
        await post(store, message)
        await clock.advance(timedelta(seconds=SOON + 1))
        await store_all(store, rest(run))
        found = await message_of(store, message.key)
        assert (found.outcome, found.version) == (MessageOutcome.EXPIRED, Version(2))
        assert found.settled_at == expires_at
        assert await inbox(store, run.run_id) == []

    async def test_a_message_that_has_expired_stays_so_when_its_run_ends(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message, expires_at = too_soon(run), after(clock.now(), SOON)
        await post(store, message)
        await clock.advance(timedelta(seconds=SOON))
        assert (await outcome_of(store, message.key))[0] is MessageOutcome.EXPIRED
        await store_all(store, end(run))
        found = await message_of(store, message.key)
        assert (found.outcome, found.settled_at) == (MessageOutcome.EXPIRED, expires_at)

    async def test_a_message_expires_no_more_once_a_status_accepts_it(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message = too_soon(run, kept_at=None)
        await post(store, message)
        await store_all(store, moved := rest(run), rest(moved, status=SHIPPED))
        await clock.advance(timedelta(seconds=2 * SOON))
        found = await message_of(store, message.key)
        assert (found.expires_at, found.outcome) == (None, None)

    async def test_an_expired_message_can_be_neither_taken_nor_failed(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message = too_soon(run)
        await post(store, message)
        waiting = await message_of(store, message.key)
        await clock.advance(timedelta(seconds=SOON))
        assert await store_all(store, taking(run, message.key)) == [
            MessageGone(run.run_id, message.key)
        ]
        await fail(store, failure(waiting))
        assert await outcome_of(store, message.key) == (MessageOutcome.EXPIRED, Version(1))

    async def test_the_key_of_an_expired_message_stays_used(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        run = await stored_run(store)
        message = too_soon(run)
        await post(store, message)
        await clock.advance(timedelta(seconds=SOON))
        assert await post(store, message) == [Posted(message.key, run.run_id, is_new=False)]

    # --- races ----------------------------------------------------------------------------------

    async def test_a_message_and_a_transition_are_never_blind_to_each_other(
        self, store: RecordStore
    ) -> None:
        """Each message of the race is left out, or passed by the transition, but never waits."""
        run = await resting_run(store)
        messages = [callback(run, f"m-{at}") for at in range(CALLERS)]
        posts, moved = await race(store, [WriteGroup(messages=(m,)) for m in messages], rest(run))
        assert moved == [Stored(run.run_id, Version(2))]
        for message, answer in zip(messages, posts, strict=True):
            if isinstance(answer.posts[0], Posted):
                assert await outcome_of(store, message.key) == (MessageOutcome.PASSED, Version(2))
            else:
                assert answer.posts == (
                    NotAwaited(message.key, run.run_id, PAID, RunState.RUNNING, Version(2)),
                )
        assert await inbox(store, run.run_id) == []

    async def test_a_message_that_races_against_the_end_of_its_run_never_waits(
        self, store: RecordStore
    ) -> None:
        run = await resting_run(store)
        messages = [callback(run, f"m-{at}", kept_at=None) for at in range(CALLERS)]
        await race(store, [WriteGroup(messages=(message,)) for message in messages], end(run))
        assert await inbox(store, run.run_id) == []
        found = await store.messages(MessageQuery(keys=tuple(item.key for item in messages)))
        assert {message.outcome for message in found} <= {MessageOutcome.PASSED}
