"""What a callback makes of its message: it is written as JSON, and read back."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from tests.unit.definition.test_waits import Order, Part, PartAt, Payment
from workflow_ray.definition import Callback, Stay, Workflow
from workflow_ray.errors import InvalidInput


class BigPayment(Payment):
    pass


def callback_of(kind: Any) -> Callback[PartAt]:
    waiting = Workflow("waiting", Order, PartAt)

    async def take(run: Part, message: Any) -> Stay:
        return Stay()

    take.__annotations__["message"] = kind
    waiting.callback(PartAt.MADE)(take)
    (callback,) = waiting.checked().callbacks(PartAt.MADE)
    return callback


@pytest.mark.parametrize(
    ("kind", "message", "payload"),
    [
        (Payment, Payment(receipt="r"), b'{"receipt":"r"}'),
        (str, "text", b'"text"'),
        (int | None, None, b"null"),
        (list[Payment], [Payment(receipt="r")], b'[{"receipt":"r"}]'),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), b'"2026-01-01T00:00:00Z"'),
        (dict[str, Any], {"a": [1]}, b'{"a":[1]}'),
        (Any, {"a": [1, None]}, b'{"a":[1,null]}'),
    ],
)
def test_a_message_is_of_any_type_that_pydantic_reads(
    kind: Any, message: object, payload: bytes
) -> None:
    callback = callback_of(kind)
    assert callback.write(message) == payload
    assert callback.read(payload) == message


@pytest.mark.parametrize(
    ("kind", "message", "says"),
    [
        (Payment, Order(), "the message of take: is of type Order; it must be Payment itself"),
        (Payment, BigPayment(receipt="r"), "is of type BigPayment"),
        (Payment, {"receipt": "r"}, "is of type dict"),
        (Payment, Payment.model_construct(receipt=5), "aren't of their field's type: receipt"),
        (str, 5, "can't be written as JSON"),
        (list[Payment], [BigPayment(receipt="r")], "it is a BigPayment and reads back as a Paym"),
        (Annotated[str, Field(min_length=3)], "ab", "can't be read back"),
        (Any, (1, 2), "it is of type tuple and reads back as list"),
        (Any, object(), "can't be written as JSON"),
        (float, float("nan"), "JSON has no NaN"),
    ],
)
def test_a_message_that_would_not_read_back_equal_is_refused(
    kind: Any, message: object, says: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        callback_of(kind).write(message)
    assert says in str(raised.value)
    assert str(raised.value).startswith("the message of take")


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"receipt":5}', b"\xff"])
def test_a_payload_that_does_not_fit_is_an_error_of_pydantic(payload: bytes) -> None:
    with pytest.raises(ValidationError):
        callback_of(Payment).read(payload)


def test_a_message_may_be_annotated_with_a_name_of_the_function_around_it() -> None:
    class Parcel(BaseModel):
        weight: int

    waiting = Workflow("waiting", Order, PartAt)

    @waiting.callback(PartAt.MADE)
    async def arrived(run: Part, parcel: "Parcel") -> Stay:
        return Stay()

    (callback,) = waiting.checked().callbacks(PartAt.MADE)
    assert callback.message_type is Parcel
