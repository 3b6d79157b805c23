"""Inboxes of runs: what a read of them costs, and inboxes of hundreds of messages."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.records import (
    Awaits,
    Message,
    MessageOutcome,
    MessageQuery,
    Record,
    RunId,
    Stored,
    Write,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.posts import (
    callback,
    commit,
    fail,
    failure,
    inbox,
    key,
    message_of,
    post,
    rest,
    resting_run,
    stay,
)
from workflow_ray.testing.conformance.runs import CREATED, PAID, acquire, store_all, stored
from workflow_ray_adapters.sql import inboxes, messages, waits
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.store import SqlStore

from .stores import opened as open_store


async def test_messages_take_one_statement_and_large_payloads_another(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await resting_run(store)
    query = MessageQuery(run_ids=(run.run_id,), due=True, limit=1000)
    limit = messages.payload_limit(query)
    posted = [
        replace(callback(run, f"m-{at}"), payload=bytes([at]) * size)
        for at, size in enumerate((0, 10, limit, limit + 1, 10))
    ]
    taken = list[str]()
    execute = Session.execute

    def noted(self: Session, statement: Any, **values: Any) -> None:
        name = statement.__name__
        # others are the poller's, which reads the states of messages whenever it is due
        if statement.__module__ == messages.__name__ and not name.startswith("_states"):
            taken.append(name)
        execute(self, statement, **values)

    monkeypatch.setattr(Session, "execute", noted)
    for count, statements in ((3, 1), (5, 2)):
        await post(store, *posted[:count])
        taken.clear()
        found = await store.messages(query)
        assert [each.payload for each in found] == [each.payload for each in posted[:count]]
        assert len(taken) == statements, taken


async def filled(store: SqlStore, count: int) -> Record:
    """Store a run with that many messages that its status accepts."""
    run = await resting_run(store)
    await post(store, *(callback(run, f"m-{at:04}") for at in range(count)))
    return run


def next_stay(run: Record | Write, at: int) -> Write:
    return replace(stay(run, visit=1), takes=(key(f"m-{at:04}"),))


async def test_messages_of_a_long_inbox_are_taken_from_any_place(store: SqlStore) -> None:
    run = await filled(store, 250)
    before: Record | Write = run
    for at in (240, 0, 120):
        before = next_stay(before, at)
        assert await store_all(store, before) == [Stored(run.run_id, before.version)]
    left = await inbox(store, run.run_id)
    assert left == [key(f"m-{at:04}") for at in range(250) if at not in (240, 0, 120)]
    assert (await stored(store, run.run_id)).awaits is Awaits.EVENT


async def test_a_message_behind_many_that_are_not_due_wakes_the_run(store: SqlStore) -> None:
    run = await filled(store, 130)
    await fail(
        store,
        *[failure(await message_of(store, key(f"m-{at:04}")), retry_in=3600) for at in range(120)],
    )
    fence = await acquire(store)
    entries = await store.pending(fence, limit=1000, wait=0)
    await store.published(fence, [entry.id for entry in entries])
    await store_all(store, next_stay(run, 125))
    (woken,) = await store.pending(fence, limit=1000, wait=0)
    assert woken.event is not None
    assert (woken.event.run_id, woken.event.version) == (run.run_id, 0)


async def test_messages_of_a_long_inbox_fail_and_expire_without_a_look_at_all_others(
    each_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wholly_read: list[str] = []
    find_waiting = inboxes.find_waiting

    def noted(session: Session, run_ids: Collection[RunId]) -> list[Message]:
        wholly_read.extend(run_ids)
        return find_waiting(session, run_ids)

    monkeypatch.setattr(waits, "find_waiting", noted)
    clock = FakeClock()
    async with open_store(each_url, clock) as store:
        run = await filled(store, 150)
        soon = [
            callback(run, f"soon-{at}", statuses=(PAID,), kept_at=(CREATED,), keep=5.0)
            for at in range(20)
        ]
        await post(store, *soon)
        last = await message_of(store, key("m-0149"))
        await fail(store, failure(last), failure(await message_of(store, key("m-0000"))))
        await clock.advance(timedelta(seconds=10))
        await commit(store, WriteGroup(expires=("orders",)))
        assert wholly_read == []
        now = await stored(store, run.run_id)
        assert (now.awaits, now.messages) == (Awaits.EVENT, 148)
        assert await inbox(store, run.run_id) == [key(f"m-{at:04}") for at in range(1, 149)]
        assert (await message_of(store, last.key)).outcome is MessageOutcome.FAILED
        assert (await message_of(store, soon[0].key)).outcome is MessageOutcome.EXPIRED


async def test_the_last_messages_of_a_long_inbox_that_fail_let_the_run_wait(
    store: SqlStore,
) -> None:
    run = await filled(store, 120)
    await fail(store, *[failure(await message_of(store, key(f"m-{at:04}"))) for at in range(120)])
    now = await stored(store, run.run_id)
    assert (now.awaits, now.messages) == (Awaits.MESSAGE, 0)


async def test_a_run_that_leaves_its_status_settles_all_of_a_long_inbox(store: SqlStore) -> None:
    run = await filled(store, 250)
    await store_all(store, rest(run))
    assert await inbox(store, run.run_id) == []
