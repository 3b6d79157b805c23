"""Random pydantic models and data for them, both sensible and strange."""

import dataclasses
import enum
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, Union
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    StringConstraints,
    create_model,
)
from typing_extensions import TypedDict  # pydantic requires it before Python 3.12

T = TypeVar("T")
UNION: Any = Union
LIST: Any = list
SET: Any = set
DICT: Any = dict
TUPLE: Any = tuple
"""Makes models from types that are known only at run time."""
Make = Callable[[random.Random], Any]
"""Makes a value for a type, mostly of that type."""


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "1"


class Point(enum.Enum):
    ORIGIN = (0, 0)
    ONE = (1, 1)


class Base(BaseModel):
    name: str = "x"


class Derived(Base):
    more: int = 1


class Lying(Base):
    """Equals every other object."""

    more: int = 1

    def __eq__(self, other: object) -> bool:
        return True


class Tree(BaseModel):
    children: list["Tree"] = []


class Box(BaseModel, Generic[T]):
    content: T


@dataclasses.dataclass
class Pair:
    left: int
    right: str = ""


class Row(TypedDict, total=False):
    number: int
    text: str


class Place(NamedTuple):
    x: int
    y: int


class Loose(BaseModel, extra="allow"):
    name: str = ""


TEXTS = (
    "",
    "a",
    "süß",
    " padded ",
    "1",
    "1.5",
    "true",
    "null",
    "\0",
    "\ud800",
    "😀",
    "2024-01-01",
    "x" * 5000,
)
NUMBERS = (0, 1, -1, 2**31, 2**63, -(2**70), 10**4000, 10**4400)
FLOATS = (0.0, -0.0, 1.5, 1e308, 5e-324, math.nan, math.inf, -math.inf, 3)
MOMENTS = (
    datetime(2024, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001  # a model may hold times without a zone
    datetime(2024, 1, 2, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))),
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),  # the zone has this time twice
    datetime.max,  # noqa: DTZ901  # a model may hold times without a zone
)
SPANS = (
    timedelta(),
    timedelta(microseconds=1),
    timedelta(days=-1, microseconds=3),
    timedelta(days=999_999),
)
DECIMALS = (Decimal(0), Decimal("1.10"), Decimal("1E+400"), Decimal("NaN"), Decimal("-0"))
BYTES = (b"", b"plain", b"\xff\xfe", bytes(range(256)))
STRAYS = (None, 1, "stray", 1.5, b"stray", [1], {"a": 1}, Base(), Derived(), (), object())
"""Make a value that an assignment without validation may leave in a field."""


def simple(kind: Any, *values: Any) -> tuple[Any, Make]:
    return kind, lambda rng: rng.choice(values)


SIMPLE: list[tuple[Any, Make]] = [
    simple(str, *TEXTS),
    simple(int, *NUMBERS, True, Size.SMALL),
    simple(bool, True, False),
    simple(float, *FLOATS),
    simple(bytes, *BYTES),
    simple(datetime, *MOMENTS),
    simple(date, date(2024, 1, 2), date.max, MOMENTS[0]),
    simple(time, time(1, 2, 3, 4), time(1, tzinfo=UTC)),
    simple(timedelta, *SPANS),
    simple(Decimal, *DECIMALS),
    simple(UUID, UUID(int=0), UUID(int=2**128 - 1)),
    simple(Colour, *Colour),
    simple(Size, *Size),
    simple(Mixed, *Mixed),
    simple(Point, *Point),
    simple(Literal["a", "b", 1], "a", "b", 1),
    simple(SecretStr, SecretStr("hush"), SecretStr("")),
    simple(SecretBytes, SecretBytes(b"hush")),
    simple(Any, 1, "a", None, [1, "a"], {"k": 1.5}, (1, 2), {1}, Base(), math.nan, UUID(int=1)),
    simple(object, 1, "a", Derived()),
    simple(Sequence[float], [1.5, math.nan], (1, 2), ()),
    simple(deque[float], deque([math.nan]), deque()),
    simple(Base, Base(), Derived(), Lying()),
    simple(Derived, Derived()),
    simple(Tree, Tree(), Tree(children=[Tree()])),
    simple(Pair, Pair(1), Pair(2, "b")),
    simple(Row, {}, {"number": 1}, {"number": 1, "text": "a"}),
    simple(Place, Place(1, 2)),
    simple(
        Loose,
        Loose(),
        Loose.model_validate({"name": "a", "other": 1}),
        Loose.model_validate({"other": Derived()}),
    ),
    simple(Box[int], Box[int](content=1)),
    simple(Box[Base], Box[Base](content=Base()), Box[Base](content=Derived())),
    simple(Annotated[str, StringConstraints(strip_whitespace=True, max_length=10)], *TEXTS),
    simple(Annotated[int, Field(ge=0)], *NUMBERS),
    simple(Annotated[str, PlainSerializer(str.upper)], "abc", "ABC"),
    simple(Annotated[int, PlainSerializer(str), BeforeValidator(int)], 1, 2**70),
    simple(Annotated[str, AfterValidator(lambda text: text[::-1])], "abc", "aba"),
    simple(Annotated[float, Field(allow_inf_nan=False)], *FLOATS),
]
ORDINARY: list[tuple[Any, Make]] = [
    simple(str, "", "a", "süß", "x" * 100),
    simple(int, 0, 1, -(2**63)),
    simple(bool, True, False),
    simple(float, 0.0, 1.5, 1e300, math.nan),
    simple(datetime, *MOMENTS),
    simple(UUID, UUID(int=1)),
    simple(date, date(2024, 1, 2), date.min, date.max, MOMENTS[0]),
    simple(Decimal, *DECIMALS),
    simple(Literal["a", "b", 1], "a", "b", 1, True, "c"),
    simple(Annotated[int, Field(gt=0, le=5)], 0, 1, 5, 6),
    simple(Annotated[float, Field(ge=-1.5, lt=5)], -1.5, 0.0, 5.0, math.nan, math.inf),
    simple(Annotated[Decimal, Field(ge=0)], *DECIMALS),
    simple(Annotated[str, Field(min_length=1, max_length=2)], "", "a", "üß", "x" * 3, "😀😀"),
    simple(Annotated[list[int], Field(min_length=1)], [], [1], [0, 0]),
    simple(Annotated[dict[str, int], Field(max_length=1)], {}, {"a": 1}, {"a": 1, "b": 2}),
    simple(Colour, *Colour),
    simple(Size, *Size),
    simple(Base, Base(), Base(name="b"), Base(), Derived()),
]
CONFIGS: list[ConfigDict] = [
    {},
    {},
    {"ser_json_bytes": "base64"},
    {"ser_json_bytes": "base64", "val_json_bytes": "base64"},
    {"ser_json_inf_nan": "strings"},
    {"ser_json_inf_nan": "constants"},
    {"ser_json_timedelta": "float"},
    {"str_strip_whitespace": True},
    {"use_enum_values": True},
    {"extra": "allow"},
    {"extra": "forbid", "frozen": True},
    {"coerce_numbers_to_str": True},
    {"strict": True},
]


def random_type(
    rng: random.Random, simple: list[tuple[Any, Make]], depth: int = 2
) -> tuple[Any, Make]:
    """Choose a type, and the function that makes values for it."""
    if depth == 0 or rng.random() < 0.5:
        return rng.choice(simple)
    kind, make = random_type(rng, simple, depth - 1)
    other, make_other = random_type(rng, simple, depth - 1)
    choices: list[Callable[[], tuple[Any, Make]]] = [
        lambda: (UNION[kind, None], lambda rng: rng.choice([None, make(rng)])),
        lambda: (UNION[kind, other], lambda rng: rng.choice([make, make_other])(rng)),
        lambda: (LIST[kind], lambda rng: [make(rng) for _ in range(rng.randrange(4))]),
        lambda: (
            SET[kind],
            lambda rng: {one for one in (make(rng) for _ in range(3)) if _is_hashable(one)},
        ),
        lambda: (TUPLE[kind, other], lambda rng: (make(rng), make_other(rng))),
        lambda: (TUPLE[kind, ...], lambda rng: tuple(make(rng) for _ in range(rng.randrange(4)))),
        lambda: (DICT[str, kind], lambda rng: {text: make(rng) for text in rng.sample(TEXTS, 2)}),
        lambda: (
            DICT[int, kind],
            lambda rng: {number: make(rng) for number in rng.sample(NUMBERS, 2)},
        ),
        lambda: model(rng, simple, depth - 1),
    ]
    return rng.choice(choices)()


def random_model(rng: random.Random) -> tuple[type[BaseModel], Make]:
    """Choose a model, and the function that makes instances. Half of the models are simple ones."""
    return model(rng, rng.choice([SIMPLE, ORDINARY]))


def model(
    rng: random.Random, simple: list[tuple[Any, Make]], depth: int = 2
) -> tuple[type[BaseModel], Make]:
    """Make a model, and the function that makes instances, mostly with the right types."""
    is_ordinary = simple is ORDINARY
    fields: dict[str, Any] = {}
    makes: dict[str, Make] = {}
    for number in range(rng.randrange(1, 4)):
        name = f"field_{number}"
        kind, makes[name] = random_type(rng, simple, depth)
        fields[name] = (kind, _field(rng))
    cls: type[BaseModel] = create_model(
        "Random", __config__={} if is_ordinary else rng.choice(CONFIGS), **fields
    )

    def make(rng: random.Random) -> BaseModel:
        values: dict[str, Any] = {
            name: rng.choice(STRAYS) if rng.random() < 0.05 else one(rng)
            for name, one in makes.items()
        }
        if rng.random() < 0.05:
            values.pop(rng.choice(list(values)))
        return cls.model_construct(**values)

    return cls, make


def _field(rng: random.Random) -> Any:
    plain: list[dict[str, Any]] = [{}] * 8
    options: list[dict[str, Any]] = [
        *plain,
        {"alias": "Alias"},
        {"exclude": True},
        {"exclude_if": bool, "default": None},
        {"default": None},
        {"serialization_alias": "other"},
    ]
    return Field(**rng.choice(options))


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
