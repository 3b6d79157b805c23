"""Data reads back equal, or is refused when it is written."""

import dataclasses
import math
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, SecretStr, field_serializer

from tests.unit.definition.random_models import Base, Derived, Tree, random_model
from tests.unit.parcels import Stage
from workflow_ray import Workflow
from workflow_ray.definition.data import ValueCodec
from workflow_ray.definition.exact_models import guard_of
from workflow_ray.errors import InvalidInput

MODELS = 5000
DATA = 3
"""The number of instances of each model."""


def test_data_of_any_model_reads_back_equal_or_is_refused(
    rng: random.Random,
) -> None:
    seen = Counter[str]()
    for _ in range(MODELS):
        cls, make = random_model(rng)
        codec: ValueCodec[Any] = ValueCodec(cls, "the data of orders")
        for _ in range(DATA):
            data = make(rng)
            encoded = taken(codec, data)
            guard = guard_of(cls)
            seen[
                "refused" if encoded is None else "guarded" if guard and guard(data) else "compared"
            ] += 1
            assert encoded is None or reads_back(data, codec.decode(encoded)), (
                cls.model_fields,
                encoded,
            )
    assert min(seen["refused"], seen["guarded"], seen["compared"]) > MODELS * DATA / 50, seen


def taken(codec: ValueCodec[Any], data: BaseModel) -> bytes | None:
    """The stored bytes. None if the data was refused, in one line that does not show it."""
    try:
        return codec.encode(data)
    except InvalidInput as refusal:
        said = str(refusal)
    assert said.startswith("the data of orders"), said
    assert "hush" not in said
    assert "\n" not in said
    return None


def reads_back(written: Any, read: Any) -> bool:
    """Whether two values are equal, compared in another way than the code does."""
    if isinstance(written, BaseModel):
        names = type(written).model_fields.keys() | (written.__pydantic_extra__ or {}).keys()
        return type(written) is type(read) and all(
            reads_back(getattr(written, name), getattr(read, name)) for name in names
        )
    if is_a_dataclass(written):
        return type(written) is type(read) and reads_back(vars(written), vars(read))
    if is_a(written, Mapping):
        return bool(written.keys() == read.keys()) and all(
            reads_back(value, read[key]) for key, value in written.items()
        )
    if is_a(written, list, tuple, deque):
        return is_a(read, *(kind for kind in (list, tuple, deque) if is_a(written, kind))) and (
            len(written) == len(read) and all(map(reads_back, written, read))
        )
    if is_a(written, float, Decimal) and math.isnan(written):
        return is_a(read, float, Decimal) and math.isnan(read)
    if is_a(written, datetime) and written.tzinfo is not None:
        return is_a(read, datetime) and read.isoformat() == written.isoformat()
    return bool(written == read)


def is_a_dataclass(value: object) -> bool:
    return dataclasses.is_dataclass(value)


def is_a(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds)


# --- what is refused, by name and with a way out -------------------------------------------------


class Card(BaseModel):
    number: SecretStr


class Revealed(BaseModel):
    number: SecretStr

    @field_serializer("number")
    def reveal(self, number: SecretStr) -> str:
        return number.get_secret_value()


class Excluded(BaseModel):
    total: int = Field(exclude=True)


class Blob(BaseModel, ser_json_bytes="base64"):
    content: bytes


class Weight(BaseModel):
    kilos: float | None = None


class Holder(BaseModel):
    items: list[Base] = []


class Hidden(BaseModel):
    total: int = Field(default=0, exclude_if=lambda total: total > 5)


class Listing(BaseModel):
    items: Sequence[int] = []
    amount: Annotated[Decimal, Field(allow_inf_nan=True)] = Decimal(0)
    at: datetime | None = None
    other: int | str = 0  # a model without a guard


def deep(levels: int) -> Tree:
    tree = Tree()
    for _ in range(levels):
        tree = Tree(children=[tree])
    return tree


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            Card(number=SecretStr("hush")),
            (
                r"the data of w, number: a secret is written as asterisks\. .* serializer that"
                r" reveals it"
            ),
        ),
        (Excluded(total=3), r"the data of w: can't be read back: total: Field required"),
        (
            Blob(content=b"ab"),
            (
                r"the data of w, content: it reads back as other bytes\. Set ser_json_bytes and"
                r" val_json_bytes"
            ),
        ),
        (
            Weight(kilos=math.nan),
            (
                r"the data of w, kilos: JSON has no NaN and no infinity\. Set"
                r" ser_json_inf_nan='strings'"
            ),
        ),
        (
            Holder(items=[Base(), Derived()]),
            r"the data of w, items\.1: it is a Derived and reads back as a Base\. Type the field",
        ),
        (Hidden(total=9), r"the data of w, total: it reads back as another int"),
        (
            Listing(items=(1, 2)),
            r"the data of w, items: it is of type tuple and reads back as list",
        ),
        (deep(400), r"the data of w: can't be (read back|written as JSON)"),
    ],
)
def test_data_that_would_read_back_otherwise_is_refused_with_its_field_and_a_way_out(
    data: BaseModel, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why) as raised:
        Workflow("w", type(data), Stage).encode(data)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        Revealed(number=SecretStr("x")),
        Weight(),
        Weight(kilos=3),
        Holder(items=[Base()]),
        Hidden(total=5),
        Listing(amount=Decimal("NaN")),
        deep(20),
    ],
)
def test_data_that_reads_back_equal_is_accepted(data: BaseModel) -> None:
    workflow = Workflow("w", type(data), Stage)
    assert reads_back(data, workflow.decode(workflow.encode(data)))


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("month", [3, 10])
def test_a_time_that_its_zone_skips_or_has_twice_reads_back(month: int, fold: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    day = {3: 29, 10: 25}[month]
    data = Listing(at=datetime(2026, month, day, 2, 30, fold=fold, tzinfo=berlin))
    workflow = Workflow("w", Listing, Stage)
    read = workflow.decode(workflow.encode(data))
    assert read.at is not None
    assert data.at is not None
    assert read.at.isoformat() == data.at.isoformat()


@dataclasses.dataclass
class Label:
    text: str = ""


class Labelled(BaseModel):
    label: Label = Label()
    total: int = 0

    @cached_property
    def double(self) -> int:
        return 2 * self.total


def test_a_value_under_a_name_that_is_not_a_field_is_refused_and_not_lost() -> None:
    workflow = Workflow("w", Labelled, Stage)
    with pytest.raises(InvalidInput, match="of w, totl: Labelled has no such field"):
        workflow.encode(Labelled().model_copy(update={"totl": 3}))
    data = Labelled(label=Label())
    vars(data.label)["txt"] = "mistyped"
    with pytest.raises(InvalidInput, match=r"of w, label\.txt: Label has no such field"):
        workflow.encode(data)


def test_what_a_cached_property_keeps_is_not_data() -> None:
    data = Labelled(total=2)
    assert data.double == 4
    workflow = Workflow("w", Labelled, Stage)
    assert workflow.decode(workflow.encode(data)).double == 4


def test_data_that_lacks_fields_is_refused() -> None:
    data = Computed(total=1)
    assert data.double == 2
    del data.total
    with pytest.raises(InvalidInput, match="total: Field required"):
        Workflow("w", Computed, Stage).encode(data)


class Computed(BaseModel):
    total: int

    @cached_property
    def double(self) -> int:
        return 2 * self.total


class Cached(BaseModel):
    _cache: dict[str, int] = {}
    name: str = ""


def test_private_attributes_are_not_data() -> None:
    data = Cached()
    data._cache["a"] = 1  # pyright: ignore[reportPrivateUsage]  # its own
    workflow = Workflow("w", Cached, Stage)
    assert workflow.decode(workflow.encode(data)).name == ""
