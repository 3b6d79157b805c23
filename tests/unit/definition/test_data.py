"""The conversion of a run's data to bytes and back."""

import math
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError, computed_field

from workflow_ray.definition import Status, Workflow
from workflow_ray.errors import InvalidInput


class At(Status):
    START = 1


class Item(BaseModel):
    price: int = Field(alias="unitPrice")


class Order(BaseModel, extra="forbid"):
    note: str = Field(default="", validation_alias="Note", serialization_alias="remark")
    items: list[Item] = []

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorator of properties
    @property
    def total(self) -> int:
        return sum(item.price for item in self.items)


class Subclass(Order):
    more: str = "x"


class Lookalike(BaseModel):
    note: str = ""
    items: list[Item] = []


class Parcel(BaseModel):
    weight: float
    label: str | None = None


orders = Workflow("orders", Order, At)


def test_aliases_and_computed_fields_come_back() -> None:
    order = Order.model_validate({"Note": "süß", "items": [{"unitPrice": 3}]})
    stored = orders.encode(order)
    assert stored == '{"note":"süß","items":[{"price":3}]}'.encode()
    assert orders.decode(stored) == order


def test_a_value_of_another_type_than_its_fields_is_refused_by_name_and_not_shown() -> None:
    order = Order(items=[Item(unitPrice=3)])
    order.items[0].price = "secret"  # type: ignore[assignment]  # the mistake
    with pytest.raises(InvalidInput, match="price") as raised:
        orders.encode(order)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("data", [None, {"note": ""}, Subclass(), Lookalike()])
def test_data_of_another_type_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput, match="it must be Order itself"):
        orders.encode(data)


def test_bytes_that_dont_fit_the_model_are_refused() -> None:
    with pytest.raises(ValidationError):
        orders.decode(b'{"items": 3}')


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_number_that_json_would_lose_is_refused_by_name(weight: float) -> None:
    parcels = Workflow("parcels", Parcel, At)
    with pytest.raises(InvalidInput, match=r"weight.*ser_json_inf_nan"):
        parcels.encode(Parcel(weight=weight))
    assert parcels.decode(parcels.encode(Parcel(weight=1.5))) == Parcel(weight=1.5)
