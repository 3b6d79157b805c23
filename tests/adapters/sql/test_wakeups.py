"""A commit wakes those who wait for what it changed, also in other processes, and nobody else."""

import asyncio

from workflow_ray.records import (
    PUBLISHER,
    Arrivals,
    MessageOutcome,
    MessageQuery,
    NewSetAside,
    Role,
    SetAsideKey,
    SetAsideQuery,
    Version,
    WriteGroup,
)
from workflow_ray.testing.conformance.posts import (
    callback,
    commit,
    key,
    post,
    resting_run,
    taking,
)
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    deploy,
    event,
    new_run,
    store_all,
    workflow,
)

from .pairs import LONG, SOON, Pair, give_up, publisher, waits, woken


async def test_a_run_that_another_process_writes_wakes_who_watches_it(pair: Pair) -> None:
    run = new_run()
    (record,) = await woken(
        pair.here.watch({run.run_id: Version(0)}, wait=LONG), lambda: store_all(pair.there, run)
    )
    assert record.run_id == run.run_id


async def test_events_that_another_process_publishes_wake_who_receives_again_and_again(
    pair: Pair,
) -> None:
    fence = await publisher(pair.there)

    async def publish() -> None:
        await store_all(pair.there, new_run(events=[event()]))
        await pair.there.move(fence, limit=10, wait=0)

    for offset in range(3):  # from the second time on the reader knows that nothing follows
        receiving = pair.here.receive(
            CREATED_TOPIC, {0: offset, 1: 0}, reader="consumer", limit=10, wait=LONG
        )
        arrivals = await woken(receiving, publish)
        assert [item.offset for item in arrivals.events] == [offset]


async def test_an_event_that_is_published_between_two_calls_is_received_at_once(pair: Pair) -> None:
    fence = await publisher(pair.there)
    for offset in range(5):

        async def receive(wait: float, offset: int = offset) -> Arrivals:
            return await pair.here.receive(
                CREATED_TOPIC, {0: offset}, reader="consumer", limit=10, wait=wait
            )

        assert not (await receive(0.01)).events
        await store_all(pair.there, new_run(events=[event()]))
        await pair.there.move(fence, limit=10, wait=0)
        async with asyncio.timeout(SOON):
            assert len((await receive(LONG)).events) == 1


async def test_an_entry_that_another_process_adds_wakes_the_publisher(pair: Pair) -> None:
    fence = await publisher(pair.here)
    entries = await woken(
        pair.here.pending(fence, limit=10, wait=LONG),
        lambda: store_all(pair.there, new_run(events=[event()])),
    )
    assert len(entries) == 1


async def test_an_entry_that_another_process_adds_wakes_who_moves(pair: Pair) -> None:
    fence = await publisher(pair.here)
    moving = await waits(pair.here.move(fence, limit=10, wait=LONG))
    receiving = pair.there.receive(CREATED_TOPIC, {0: 0}, reader="consumer", limit=10, wait=LONG)
    arrivals = await woken(receiving, lambda: store_all(pair.there, new_run(events=[event()])))
    assert len(arrivals.events) == 1
    await give_up(moving)


async def test_a_holder_whose_role_another_process_acquires_is_woken_at_once(pair: Pair) -> None:
    fence = await publisher(pair.here)
    calls = await waits(
        pair.here.pending(fence, limit=10, wait=LONG), pair.here.move(fence, limit=10, wait=LONG)
    )
    await pair.there.acquire(Role(PUBLISHER))
    async with asyncio.timeout(SOON):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["RoleLost", "RoleLost"]


async def test_a_deployment_wakes_who_waits_for_a_newer_one(pair: Pair) -> None:
    before = await pair.here.deployment()
    waiting = pair.here.deployment(newer_than=before.version, wait=LONG)
    newer = await woken(waiting, lambda: deploy(pair.there, workflow()))
    assert (newer.version, len(newer.workflows)) == (before.version + 1, 1)
    assert await pair.here.deployment(newer_than=before.version, wait=LONG) == newer
    assert await pair.here.deployment(newer_than=newer.version, wait=0.01) == newer


async def test_a_message_that_another_process_posts_wakes_who_waits_for_it(pair: Pair) -> None:
    run = await resting_run(pair.here)
    found = await woken(
        pair.here.messages(MessageQuery(keys=(key("m-1"),)), wait=LONG),
        lambda: post(pair.there, callback(run)),
    )
    assert [message.key for message in found] == [key("m-1")]


async def test_a_message_that_another_process_posts_wakes_who_waits_for_those_of_its_run(
    pair: Pair,
) -> None:
    run = await resting_run(pair.here)
    found = await woken(
        pair.here.messages(MessageQuery(run_ids=(run.run_id,)), wait=LONG),
        lambda: post(pair.there, callback(run)),
    )
    assert [message.key for message in found] == [key("m-1")]


async def test_a_message_that_another_process_settles_wakes_who_waits_for_its_outcome(
    pair: Pair,
) -> None:
    run = await resting_run(pair.here)
    await post(pair.here, callback(run))
    (message,) = await woken(
        pair.here.messages(MessageQuery(keys=(key("m-1"),)), settled=True, wait=LONG),
        lambda: store_all(pair.there, taking(run, key("m-1"))),
    )
    assert (message.outcome, message.version) == (MessageOutcome.TAKEN, 2)


async def test_an_entry_that_another_process_sets_aside_wakes_who_waits_for_it(pair: Pair) -> None:
    entry = NewSetAside(
        key=SetAsideKey("carts", 0, 1), event_id="1", event=b"{}", attempt=1, retry_in=0.1
    )
    (found,) = await woken(
        pair.here.set_aside(SetAsideQuery(group="carts", due=True), wait=LONG),
        lambda: commit(pair.there, WriteGroup(set_aside=(entry,))),
    )
    assert found.key == entry.key


async def test_more_than_a_notification_holds_wakes_too(pair: Pair) -> None:
    runs = [new_run() for _ in range(500)]
    (record,) = await woken(
        pair.here.watch({runs[300].run_id: Version(0)}, wait=LONG),
        lambda: store_all(pair.there, *runs),
    )
    assert record.run_id == runs[300].run_id
