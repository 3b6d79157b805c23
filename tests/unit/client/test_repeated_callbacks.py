"""A caller of a callback gives up, and calls again with the same key."""

from datetime import timedelta

import pytest

from tests.unit.client.orders import At, Order, Shop, begin, finished
from workflow_ray.errors import (
    KeyReused,
    WaitTimeout,
)
from workflow_ray.records import MessageQuery


async def test_a_caller_that_gives_up_gets_the_first_answer_by_the_same_key(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}', timeout=5, idempotency_key="k"))
    (message,) = await here.inbox(handle.run_id)
    await here.clock.advance(timedelta(seconds=6))
    with pytest.raises(WaitTimeout) as raised:
        await finished(here, call)
    text = str(raised.value)
    assert "didn't get to the answer of callback paid within 5 s" in text
    assert "a call with the same idempotency key gets it." in text
    await here.move(handle.run_id, At.PAID, takes=message, data=Order(receipt="r1"))
    await here.move(handle.run_id, At.SHIPPED)
    run = await handle.callback("paid", b'{"receipt": "r1"}', idempotency_key="k")
    assert (run.status, run.data.receipt) == (At.PAID, "r1")
    assert len(await here.store.messages(MessageQuery(keys=(message.key,)))) == 1


async def test_a_timeout_says_what_the_run_waits_for(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    wait = begin(handle.wait(timeout=5))
    await here.clock.settle()
    await here.clock.advance(timedelta(seconds=6))
    with pytest.raises(WaitTimeout) as raised:
        await finished(here, wait)
    due = "2030-01-03 00:00:00Z"
    assert f"It waits for callback paid, callback prepaid, or timeout expire (due {due})" in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("arguments", "differing"),
    [
        (("paid", b'{"receipt": "r2"}'), ["message"]),
        (("prepaid", b'{"receipt": "r1"}'), ["callback"]),
    ],
)
async def test_a_key_that_was_used_for_something_else_is_refused(
    here: Shop, arguments: tuple[str, bytes], differing: list[str]
) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}', idempotency_key="k"))
    await here.inbox(handle.run_id)
    with pytest.raises(KeyReused) as raised:
        await handle.callback(*arguments, idempotency_key="k")
    assert raised.value.differing == differing
    call.cancel()


async def test_a_key_that_was_used_for_another_run_is_refused(here: Shop) -> None:
    one = await here.at(At.AWAITING_PAYMENT, "one")
    other = await here.at(At.AWAITING_PAYMENT, "other")
    call = begin(one.callback("paid", b'{"receipt": "r1"}', idempotency_key="k"))
    await here.inbox(one.run_id)
    for again in (
        other.callback("paid", b'{"receipt": "r1"}', idempotency_key="k"),
        here.client.callback("paid", "other", b'{"receipt": "r1"}', idempotency_key="k"),
    ):
        with pytest.raises(KeyReused, match="with another run"):
            await again
    call.cancel()


async def test_the_same_message_written_otherwise_is_a_repeat(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}', idempotency_key="k"))
    (message,) = await here.inbox(handle.run_id)
    repeats = [
        begin(handle.callback("paid", b'{"receipt":"r1"}', idempotency_key="k")),
        begin(here.client.callback("paid", "1", b'{"receipt": "r1"}', idempotency_key="k")),
    ]
    await here.move(handle.run_id, At.PAID, takes=message)
    for each in (call, *repeats):
        assert (await finished(here, each)).version == 3
