"""A caller of a callback learns where the run stands."""

import pickle
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.client.orders import At, Other, Shop, begin, finished
from workflow_ray.errors import (
    CallbackError,
    CallbackExpired,
    CallbackFailed,
    CallbackTooEarly,
    CallbackTooLate,
    InvalidMessage,
    RunFinished,
    RunNotFound,
)
from workflow_ray.records import new_run_id


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
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # noqa: S301  # our own bytes
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


async def test_every_error_of_a_callback_can_be_caught_as_one(here: Shop) -> None:
    kinds = (CallbackTooEarly, CallbackTooLate, CallbackExpired, CallbackFailed, RunFinished)
    for kind in kinds:
        error = kind("shop", "r", "paid", "PAID, RUNNING", 3, "why")
        assert isinstance(error, CallbackError)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # our own bytes
