"""What a run waits for that rests, in words."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest

from tests.unit.client.orders import At, Order, OrderRun, Payment
from workflow_ray import Run, Status, Stay, Workflow
from workflow_ray.definition import Children
from workflow_ray.engine.awaited import awaited
from workflow_ray.records import Awaits, Cause, Record, RunId, RunState, Version

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
RECORD = Record(
    run_id=RunId("r"),
    workflow="waits",
    foreign_id="1",
    status=At.AWAITING_PAYMENT.value,
    run_state=RunState.RUNNING,
    version=Version(2),
    visit=Version(2),
    cause=Cause.STEP,
    partition=0,
    data=b"{}",
    awaits=Awaits.MESSAGE,
    created_at=NOW,
    updated_at=NOW,
)


class Stage(Status):
    DRAFT = 1


invoices = Workflow("invoices", Order, Stage)
waits = Workflow("waits", Order, At, entry=(At.PAID, At.SHIPPED))


@waits.step(At.CREATED)
async def begin(run: OrderRun) -> Literal[At.AWAITING_PAYMENT]:
    return At.AWAITING_PAYMENT


@waits.callback(At.AWAITING_PAYMENT)
async def paid(run: OrderRun, message: Payment) -> Literal[At.EXPIRED]:
    return At.EXPIRED


@waits.timeout(At.AWAITING_PAYMENT, after=timedelta(hours=2))
async def expire(run: OrderRun) -> Literal[At.EXPIRED]:
    return At.EXPIRED


@waits.child(At.PAID, invoices)
async def invoiced(run: OrderRun, child: Run[Order, Stage]) -> Literal[At.EXPIRED]:
    return At.EXPIRED


@waits.children(At.PAID, invoices)
async def all_invoiced(run: OrderRun, children: Children[Order, Stage]) -> Literal[At.EXPIRED]:
    return At.EXPIRED


@waits.timeout(At.PAID, at=lambda run: NOW)
async def late(run: OrderRun) -> Literal[At.EXPIRED]:
    return At.EXPIRED


@waits.step(At.SHIPPED)
async def rest(run: OrderRun) -> Literal[At.EXPIRED] | Stay:
    return Stay()


def text(status: At | None, *, entered_at: datetime | None = None, **fields: Any) -> str:
    number = 9 if status is None else status.value
    record = msgspec.structs.replace(RECORD, status=number, **fields)
    return awaited(waits.checked(), status, record, entered_at=entered_at)


@pytest.mark.parametrize(
    ("status", "entered_at", "expected"),
    [
        (At.AWAITING_PAYMENT, None, "callback paid, or timeout expire"),
        (
            At.AWAITING_PAYMENT,
            NOW,
            "callback paid, or timeout expire (due 2026-11-26 12:00:00Z)",
        ),
        (
            At.PAID,
            NOW,
            "the end of a child (invoices), the ends of all its children (invoices), or timeout"
            " late",
        ),
        (At.SHIPPED, None, "an operator: nothing else moves it from its status"),
        (None, None, "an operator: nothing else moves it from its status"),
    ],
)
def test_a_run_that_waits_for_messages_names_the_functions_of_its_status(
    status: At | None, entered_at: datetime | None, expected: str
) -> None:
    assert text(status, entered_at=entered_at) == expected


def test_a_paused_run_waits_for_a_resume() -> None:
    paused: dict[str, Any] = {"run_state": RunState.PAUSED, "awaits": Awaits.NOBODY}
    assert text(At.AWAITING_PAYMENT, **paused) == "a resume"
    assert text(At.PAID, **paused, messages=1) == "a resume; 1 message waits for it"
    assert text(At.PAID, **paused, messages=2) == "a resume; 2 messages wait for it"


@pytest.mark.parametrize(
    "fields",
    [
        {"awaits": Awaits.EVENT},
        {"awaits": Awaits.NOBODY, "run_state": RunState.COMPLETED},
    ],
)
def test_a_run_that_goes_on_or_is_finished_waits_for_nothing(fields: dict[str, Any]) -> None:
    assert text(At.AWAITING_PAYMENT, **fields) == ""
