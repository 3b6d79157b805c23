"""What a function may ask of its run: a side effect once, and children."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, cast

import pytest
from pydantic import BaseModel

from workflow_ray.definition import CancelledEvent, ChildStart, Run, Status, Workflow
from workflow_ray.definition.labels import Labels
from workflow_ray.definition.once_result import result_codec
from workflow_ray.errors import InvalidInput


class At(Status):
    NEW = 1
    SECOND = 2
    DONE = 3


class Order(BaseModel):
    total: int = 0


Here = Run[Order, At]
orders = Workflow("orders", Order, At, entry=At.SECOND)


@orders.step(At.NEW)
async def finish(run: Here) -> Literal[At.DONE]:
    return At.DONE


def made() -> Here:
    return Run(Order(total=3), At.NEW, foreign_id="order-1")


class Noted:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.children: list[ChildStart] = []

    async def once(self, name: str, call: Callable[[], object]) -> object:
        self.calls.append((name, call()))
        return "stored"

    def cancelled(self) -> CancelledEvent:
        raise NotImplementedError

    def labels(self, stored: Mapping[str, str]) -> Labels:
        raise NotImplementedError

    def start(self, child: ChildStart) -> None:
        self.children.append(child)


def bound(effects: Noted) -> Here:
    run = made()
    return Run.stored(run._record, run.data, run.status, effects)  # pyright: ignore[reportPrivateUsage]


# --- once ---------------------------------------------------------------------------------------


def double(number: int, *, more: int = 0) -> int:
    return 2 * number + more


async def double_later(number: int, *, more: int = 0) -> int:
    return 2 * number + more


async def test_on_a_run_made_by_hand_the_function_is_just_called() -> None:
    assert await made().once("a", double, 3, more=1) == 7
    assert await made().once("a", double_later, 3, more=1) == 7


async def test_an_error_of_the_function_goes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await made().once("a", lambda: 1 / 0)


async def test_once_hands_the_call_to_the_effects_of_the_run() -> None:
    effects = Noted()
    stored: object = await bound(effects).once("charge", double, 3, more=1)
    assert stored == "stored"
    assert effects.calls == [("charge", 7)]


async def test_a_run_that_was_only_read_does_nothing_once() -> None:
    run = made()
    read = Run.unread(run._record, lambda: Order(), lambda: At.NEW)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(InvalidInput, match=r"run\.once: this run was only read"):
        await read.once("charge", double, 3)
    with pytest.raises(InvalidInput, match=r"run\.start: this run was only read"):
        read.start(orders, "1", Order())
    assert read.started == ()


# --- what once stores ---------------------------------------------------------------------------


class Receipt(BaseModel):
    number: int


class Till:
    def charge(self, total: int) -> Receipt:
        return Receipt(number=total)

    async def charge_later(self, total: int) -> list[Receipt]:
        return [Receipt(number=total)]


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (Till().charge, Receipt(number=1)),
        (partial(Till().charge_later, 3), [Receipt(number=3)]),
        (partial(partial(double), 3), 6),
        (len, 3),
        (lambda: {"a": [1, None]}, {"a": [1, None]}),
        (datetime.now, "text"),
    ],
)
def test_a_result_is_read_as_the_annotation_of_its_function_says(
    call: Callable[..., object], result: object
) -> None:
    codec = result_codec(call)
    assert codec.decode(codec.encode(result)) == result
    assert codec is result_codec(call) or call in (len, datetime.now)


@pytest.mark.parametrize(
    ("call", "result", "says"),
    [
        (Till().charge, Order(), "the result of charge: is of type Order"),
        (double, "text", "the result of double: can't be written as JSON"),
        (len, (1, 2), "the result of len, which has no return annotation that can be read"),
        (lambda: None, datetime(2026, 1, 1, tzinfo=UTC), "datetime and reads back as str"),
        (lambda: None, object(), "can't be written as JSON"),
    ],
)
def test_a_result_that_would_not_read_back_equal_is_refused(
    call: Callable[..., object], result: object, says: str
) -> None:
    with pytest.raises(InvalidInput, match=r"^run\.once, the result of") as raised:
        result_codec(call).encode(result)
    assert says in str(raised.value)


def test_an_annotation_that_fails_counts_as_none() -> None:
    def strange() -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821  the mistake
        return 5

    codec = result_codec(cast(Any, strange))
    assert codec.decode(codec.encode([1])) == [1]


# --- children -----------------------------------------------------------------------------------


def test_on_a_run_made_by_hand_children_are_noted() -> None:
    run = made()
    data = Order(total=1)
    run.start(orders, "child-1", data)
    run.start(orders, "child-2", Order(), start_at=At.SECOND, if_active="join", cascade=True)
    data.total = 2
    first, second = run.started
    assert (first.workflow, first.foreign_id, first.start_at) == (orders, "child-1", At.NEW)
    assert (first.joins, first.cascades) == (False, False)
    assert first.encoded == b'{"total":1}', "the data is taken as it was"
    assert (second.start_at, second.joins, second.cascades) == (At.SECOND, True, True)


def test_start_hands_the_child_to_the_effects_of_the_run() -> None:
    effects = Noted()
    run = bound(effects)
    run.start(orders, "child-1", Order())
    assert [child.foreign_id for child in effects.children] == ["child-1"]
    assert run.started == (), "it is for runs made by hand"


def test_data_of_a_child_has_a_largest_size() -> None:
    class Long(BaseModel):
        text: str

    texts = Workflow("texts", Long, At)
    with pytest.raises(InvalidInput, match=r"run\.start, data: it is 167\d{5} bytes long"):
        made().start(texts, "1", Long(text="x" * 16_777_216))
