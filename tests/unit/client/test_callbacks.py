"""Callers send messages to the callbacks of runs, and get their answers."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.client.orders import PAID, At, Order, Payment, Shop, begin, finished, shop
from workflow_ray.errors import (
    CallbackFailed,
    InvalidInput,
)
from workflow_ray.records import MessageQuery, RunId


async def test_a_caller_gets_the_run_as_its_callback_has_left_it(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    assert (message.name, message.payload) == ("paid", b'{"receipt": "r1"}')
    await here.move(handle.run_id, At.PAID, takes=message, data=Order(receipt="r1"))
    run = await finished(here, call)
    assert (run.status, run.data.receipt, run.version) == (At.PAID, "r1", 3)


async def test_the_run_is_shown_at_the_callbacks_version_when_it_has_gone_on_since(
    here: Shop,
) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    await here.move(handle.run_id, At.PAID, takes=message, data=Order(receipt="r1"))
    await here.move(handle.run_id, At.SHIPPED, data=Order(receipt="r2"))
    run = await finished(here, call)
    assert (run.status, run.data.receipt, run.version, run.visit) == (At.PAID, "r1", 3, 3)


async def test_data_that_the_callback_did_not_change_is_that_of_an_earlier_version(
    here: Shop,
) -> None:
    handle = await here.at(At.AWAITING_PAYMENT, total=7)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    await here.move(handle.run_id, At.PAID, takes=message)
    await here.move(handle.run_id, At.SHIPPED, data=Order(total=8))
    run = await finished(here, call)
    assert run.data.total == 7


async def test_the_function_and_its_message_are_typed_values(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    graph = here.workflow.checked()
    callback = graph.callback("paid")
    assert callback is not None
    call = begin(handle.callback(callback.function, PAID))
    (message,) = await here.inbox(handle.run_id)
    assert message.payload == b'{"receipt":"r1"}'
    call.cancel()


async def test_a_client_calls_back_by_foreign_id(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT, "order-1")
    call = begin(here.client.callback("paid", "order-1", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    await here.move(handle.run_id, At.PAID, takes=message)
    assert (await finished(here, call)).run_id == handle.run_id


async def test_many_callers_share_their_calls_to_the_store(
    here: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = [await here.at(At.AWAITING_PAYMENT, f"order-{n}") for n in range(50)]
    asked: list[int] = []
    messages = here.store.messages

    async def counted(query: MessageQuery, **options: Any) -> Any:
        asked.append(len(query.keys))
        return await messages(query, **options)

    monkeypatch.setattr(here.client._records, "messages", counted)  # pyright: ignore[reportPrivateUsage]  # the calls that it makes
    calls = [begin(handle.callback("paid", b'{"receipt": "r1"}')) for handle in handles]
    await here.clock.settle()
    assert 50 in asked
    assert len(asked) <= 3
    for call in calls:
        call.cancel()


async def unknown(run: Any, message: Payment) -> At:
    return At.PAID


@pytest.mark.parametrize("function", ["nothing", "reserve", "expire", unknown, 5, None])
async def test_only_a_callback_of_the_workflow_can_be_called(here: Shop, function: Any) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    with pytest.raises(InvalidInput, match="is not a callback of workflow 'shop'; give one: paid"):
        await handle.callback(function, b'{"receipt": "r1"}')


async def test_a_callback_of_another_definition_is_not_called(here: Shop) -> None:
    callback = shop().checked().callback("paid")
    assert callback is not None
    handle = await here.at(At.AWAITING_PAYMENT)
    with pytest.raises(InvalidInput, match="is not a callback of workflow 'shop'"):
        await handle.callback(callback.function, PAID)


async def test_the_history_tells_callbacks_that_have_failed_by_their_time(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    await here.fail(message, "ValueError: no")
    with pytest.raises(CallbackFailed):
        await finished(here, call)
    await here.move(handle.run_id, At.PAID)
    history = await handle.history()
    assert [(each.version, each.callback) for each in history] == [
        (1, None),
        (2, None),
        (2, "paid"),
        (3, None),
    ]
    failed = history[2]
    assert (failed.status, failed.reason, failed.by) == (
        At.AWAITING_PAYMENT,
        "callback paid: ValueError: no",
        "client",
    )
    assert failed.at >= history[1].at


async def test_who_follows_a_run_gets_callbacks_that_have_failed(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    seen: list[tuple[int, str | None]] = []

    async def read() -> None:
        async for entry in handle.follow():
            seen.append((entry.version, entry.callback))

    reading = begin(read())
    await here.clock.settle()
    assert seen == [(1, None), (2, None)]
    call = begin(handle.callback("paid", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    await here.fail(message, "ValueError: no")
    with pytest.raises(CallbackFailed):
        await finished(here, call)
    await here.clock.advance(timedelta(seconds=3))
    await here.clock.settle()
    assert seen[2:] == [(2, "paid")]
    await here.move(handle.run_id, At.SHIPPED)
    await finished(here, reading)
    assert seen[3:] == [(3, None)]
    assert [each.version async for each in handle.follow(after=2)] == [2, 3]


async def test_the_store_of_a_run_keeps_one_message_for_each_key(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    calls = [
        begin(handle.callback("paid", b'{"receipt": "r1"}', idempotency_key="k")) for _ in range(50)
    ]
    (message,) = await here.inbox(handle.run_id)
    await here.move(handle.run_id, At.PAID, takes=message)
    runs = [await finished(here, call) for call in calls]
    assert {run.version for run in runs} == {3}
    (record,) = await here.store.lookup([RunId(handle.run_id)])
    assert record is not None
    assert record.messages == 0
