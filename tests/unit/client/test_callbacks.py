"""Callers send messages to the callbacks of runs, and get their answers."""

import asyncio
import pickle
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.client.orders import At, Order, Other, Payment, Shop, finished, shop
from workflow_ray.errors import (
    CallbackError,
    CallbackExpired,
    CallbackFailed,
    CallbackTooEarly,
    CallbackTooLate,
    InvalidInput,
    InvalidMessage,
    KeyReused,
    RunFinished,
    RunNotFound,
    WaitTimeout,
)
from workflow_ray.records import MessageQuery, RunId, new_run_id

PAID = Payment(receipt="r1")


def begin(call: Any) -> "asyncio.Task[Any]":
    return asyncio.create_task(call)


@pytest.fixture
def here() -> Shop:
    return Shop()


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


# --- where the run stands ----------------------------------------------------------------------


async def test_a_callback_that_is_too_early_says_which_status_accepts_it(here: Shop) -> None:
    handle = await here.at(At.CREATED)
    with pytest.raises(CallbackTooEarly) as raised:
        await handle.callback("paid", b'{"receipt": "r1"}')
    assert raised.value.stands == "CREATED, INITIATED"
    assert raised.value.version == 1
    assert str(raised.value) == (
        f"callback 'paid' has not moved run {handle.run_id} of 'shop', which is at CREATED,"
        " INITIATED (version 1): AWAITING_PAYMENT accepts it. Call again when the run is there, or"
        " declare it with `early=`."
    )
    assert await here.inbox(handle.run_id) == []


async def test_a_callback_that_is_too_late_says_where_the_run_stands(here: Shop) -> None:
    handle = await here.at(At.PAID)
    with pytest.raises(CallbackTooLate, match=r"PAID, RUNNING \(version 2\): AWAITING_PAYMENT"):
        await handle.callback("paid", b'{"receipt": "r1"}')


async def test_a_finished_run_takes_no_callback(here: Shop) -> None:
    handle = await here.at(At.SHIPPED)
    with pytest.raises(RunFinished, match="SHIPPED, COMPLETED"):
        await here.client.callback("paid", "1", b'{"receipt": "r1"}')
    assert (await handle.get()).version == 2


async def test_an_unknown_run_is_not_found(here: Shop) -> None:
    with pytest.raises(RunNotFound, match="has no run 'order-9'"):
        await here.client.callback("paid", "order-9", b'{"receipt": "r1"}')
    with pytest.raises(RunNotFound):
        await here.client.handle(new_run_id()).callback("paid", b'{"receipt": "r1"}')


@pytest.mark.parametrize(
    "message", [b"{}", b"no json", b'{"receipt": 5}', Other(name="secret"), "secret", None]
)
async def test_a_message_that_does_not_fit_is_refused_without_its_values(
    here: Shop, message: Any
) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    with pytest.raises(InvalidMessage) as raised:
        await handle.callback("paid", message)
    assert "the message of callback 'paid'" in str(raised.value)
    assert raised.value.stands == "AWAITING_PAYMENT, RUNNING"
    assert "secret" not in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # noqa: S301  our own bytes
    assert await here.inbox(handle.run_id) == []


async def test_of_two_callbacks_one_wins_and_the_other_is_told(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    calls = [
        begin(handle.callback("paid", b'{"receipt": "%d"}' % n, idempotency_key=f"{n}"))
        for n in range(2)
    ]
    first, _ = await here.inbox(handle.run_id)
    await here.move(handle.run_id, At.PAID, takes=first)
    assert (await finished(here, calls[0])).version == 3
    with pytest.raises(CallbackTooLate, match="went on by another transition, with version 3"):
        await finished(here, calls[1])
    with pytest.raises(CallbackTooLate):
        await handle.callback("paid", b'{"receipt": "1"}', idempotency_key="1")


async def test_a_function_that_fails_is_an_error_of_the_caller_and_leaves_the_run(
    here: Shop,
) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    call = begin(handle.callback("paid", b'{"receipt": "r1"}', idempotency_key="k"))
    (message,) = await here.inbox(handle.run_id)
    await here.fail(message, "ValueError: no such receipt")
    with pytest.raises(CallbackFailed, match=r"AWAITING_PAYMENT.*ValueError: no such receipt"):
        await finished(here, call)
    assert (await handle.get()).version == 2
    with pytest.raises(CallbackFailed, match="no such receipt"):
        await handle.callback("paid", b'{"receipt": "r1"}', idempotency_key="k")


async def test_an_early_callback_is_kept_until_the_run_is_there(here: Shop) -> None:
    handle = await here.at(At.CREATED)
    call = begin(handle.callback("prepaid", b'{"receipt": "r1"}'))
    (message,) = await here.inbox(handle.run_id)
    assert message.kept_at == (At.CREATED.value,)
    await here.move(handle.run_id, At.AWAITING_PAYMENT)
    await here.move(handle.run_id, At.PAID, takes=message)
    assert (await finished(here, call)).status is At.PAID


async def test_an_early_callback_expires(here: Shop) -> None:
    handle = await here.at(At.CREATED)
    call = begin(handle.callback("prepaid", b'{"receipt": "r1"}'))
    await here.inbox(handle.run_id)
    await here.clock.advance(timedelta(hours=1, seconds=30))
    with pytest.raises(CallbackExpired, match="CREATED, INITIATED"):
        await finished(here, call)


async def test_an_early_callback_is_too_late_where_its_status_is_not_ahead(here: Shop) -> None:
    handle = await here.at(At.PAID)
    with pytest.raises(CallbackTooLate):
        await handle.callback("prepaid", b'{"receipt": "r1"}')


# --- giving up, and calling again --------------------------------------------------------------


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


# --- arguments ---------------------------------------------------------------------------------


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


async def test_every_error_of_a_callback_can_be_caught_as_one(here: Shop) -> None:
    kinds = (CallbackTooEarly, CallbackTooLate, CallbackExpired, CallbackFailed, RunFinished)
    for kind in kinds:
        error = kind("shop", "r", "paid", "PAID, RUNNING", 3, "why")
        assert isinstance(error, CallbackError)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  our own bytes


# --- the history -------------------------------------------------------------------------------


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
