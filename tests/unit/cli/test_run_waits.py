"""The command line shows what a run waits for, and the callbacks that have failed."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.client.orders import At, Order, Shop
from workflow_ray.cli.run_history import entry_views, print_at_length
from workflow_ray.cli.views import Names
from workflow_ray.engine.delays import due_steps, due_times
from workflow_ray.records import NewMessage, Record, RunId, WriteGroup
from workflow_ray.records.message import MessageId, MessageKey, MessageKind
from workflow_ray.runtime.deploying import describe_here, merge


@pytest.fixture
async def here() -> Shop:
    shop = Shop()
    await merge(shop.store, [describe_here(shop.workflow)])
    return shop


async def names(here: Shop) -> Names:
    return Names(await here.store.deployment())


async def stored(here: Shop, run_id: str) -> Record:
    (record,) = await here.store.lookup([RunId(run_id)])
    assert record is not None
    return record


async def post(here: Shop, run_id: str) -> None:
    """Post a message for the callback `paid`."""
    message = NewMessage(
        key=MessageKey("shop", MessageKind.CALLBACK, MessageId("m")),
        run_id=RunId(run_id),
        name="paid",
        statuses=(At.AWAITING_PAYMENT.value,),
        by="client",
    )
    await here.store.store([WriteGroup(messages=(message,))])


async def test_a_run_that_rests_says_what_kind_of_message_moves_it(here: Shop) -> None:
    shown = await names(here)
    with_timeouts = await here.at(At.AWAITING_PAYMENT, "1")
    without = await here.at(At.PAID, "2")
    at_work = await here.at(At.CREATED, "3")
    texts = [
        shown.run(await stored(here, each.run_id)).waits_for
        for each in (with_timeouts, without, at_work)
    ]
    assert texts == ["a callback, a child or a timeout", "a callback or a child", None]


async def test_a_paused_run_waits_for_a_resume_with_its_messages(here: Shop) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    await handle.pause("a test")
    await post(here, handle.run_id)
    view = (await names(here)).run(await stored(here, handle.run_id))
    assert view.waits_for == "a resume; 1 message waits for it"


async def test_a_delayed_run_says_when_its_step_is_due(here: Shop) -> None:
    handle = await here.client.trigger("1", Order(), delay=3600)
    record = await stored(here, handle.run_id)
    due = due_times(await here.store.activity(steps=due_steps([record])))
    due_at = here.clock.now() + timedelta(hours=1)
    assert due == {record.run_id: due_at}
    expected = f"its step (due {due_at:%Y-%m-%d %H:%M:%SZ})"
    shown = await names(here)
    assert shown.run(record, due_at).waits_for == expected
    await handle.pause("a test")
    assert due_steps([await stored(here, handle.run_id)]) == {}


async def test_a_callback_that_has_failed_is_in_the_history(
    here: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = await here.at(At.AWAITING_PAYMENT)
    await post(here, handle.run_id)
    (message,) = await here.inbox(handle.run_id)
    await here.fail(message, "ValueError: no")
    record, shown = await stored(here, handle.run_id), await names(here)
    views = await entry_views(here.store, shown, record)
    found: list[Any] = [(each.version, each.cause, each.callback, each.reason) for each in views]
    assert found[1:] == [
        (2, "STEP", None, None),
        (2, "FAILED", "paid", "callback paid: ValueError: no"),
    ]
    await print_at_length(here.store, shown, record, data=True, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert [each["callback"] for each in printed] == [None, None, "paid"]
