"""A correct definition, and single changes that make it wrong."""

from typing import NamedTuple

SOURCE = """
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from workflow_ray import Cancel, Pause, Repeat, Retry, Run, Status, Stay, Workflow, resource


class At(Status):
    NEW = 1
    PAID = 2
    PACKED = 3
    SENT = 4
    LOST = 5
    RETURNED = 6


class Other(Status):
    X = 1
    Y = 2


class Order(BaseModel):
    total: int = 0


@resource
async def scale() -> AsyncIterator[int]:
    yield 1


def hiding(function: Any) -> Any:
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def in_a_class(function: Any) -> Any:
    return type("Made", (), {})


orders = Workflow(
    "orders", Order, At, start=At.NEW, entry=At.RETURNED, partitions=16, retry_paused=60
)


@orders.step(At.NEW)
async def pay(run: Run[Order, At]) -> Literal[At.PAID]:
    return At.PAID


@orders.step(At.PAID, on_failure=At.LOST, shards=2, retry=Retry(attempts=2))
async def pack(run: Run[Order, At], it: int = scale.value) -> Literal[At.PACKED] | Cancel:
    return At.PACKED


@orders.step(At.PACKED, max_in_flight=10, timeout=5)
def send(run: Run[Order, At]) -> Literal[At.SENT, At.NEW]:
    return At.SENT


@orders.step(At.RETURNED)
async def refund(run: Run[Order, At]) -> "Literal[At.LOST] | Pause":
    return At.LOST
"""


class Mistake(NamedTuple):
    """One change that makes the definition wrong."""

    right: str
    wrong: str
    says: str


IN_ARGUMENTS = [
    Mistake('"orders", Order', '"my orders", Order', "the name 'my orders'"),
    Mistake('"orders", Order', "7, Order", "the name 7"),
    Mistake("Order, At, start", "At, Order, start", "in each other's place"),
    Mistake("Order, At, start", "dict, At, start", "is not a pydantic model"),
    Mistake("Order, At, start", "BaseModel, At, start", "is not a pydantic model"),
    Mistake("Order, At, start", "Order, int, start", "is not an enum of statuses"),
    Mistake("Order, At, start", "Order, Status, start", "is not an enum of statuses"),
    Mistake("start=At.NEW", "start=Other.X", "start=Other.X"),
    Mistake("start=At.NEW", 'start="NEW"', "start='NEW'"),
    Mistake("entry=At.RETURNED", "entry=Other.X", "entry has <Other.X: 1>"),
    Mistake("entry=At.RETURNED", "entry=[Other.X, Other.Y]", "which are not statuses"),
    Mistake("entry=At.RETURNED", 'entry="RETURNED"', "entry has 'RETURNED'"),
    Mistake("entry=At.RETURNED", "entry=6", "entry has 6"),
    Mistake("entry=At.RETURNED", "entry=None", "entry has None"),
    Mistake("entry=At.RETURNED, ", "", "nothing leads from the start, At.NEW, to At.RETURNED"),
    Mistake("partitions=16", "partitions=0", "partitions=0"),
    Mistake("partitions=16", "partitions=10_000_000", "partitions=10000000"),
    Mistake("partitions=16", 'partitions="16"', "partitions='16'"),
    Mistake("retry_paused=60", "retention=60", "retention=60 can't be used; hand in a Retention"),
    Mistake("retry_paused=60", "retry_paused=0", "retry_paused=0"),
    Mistake("retry_paused=60", "retry_paused='1 h'", "retry_paused='1 h'"),
    Mistake("retry_paused=60", "retry_paused=-1", "retry_paused=-1"),
    Mistake("retry_paused=60", "traces=1", "traces=1 can't be used; use True or False"),
    Mistake("PACKED = 3", "PACKED = 2", "At.PACKED has the number of At.PAID"),
    Mistake("PACKED = 3", 'PACKED = "3"', "At.PACKED = '3'"),
    Mistake("PACKED = 3", "PACKED = [3]", "At.PACKED = [3]"),
    Mistake("PACKED = 3", "PACKED = 2**31", "At.PACKED = 2147483648"),
    Mistake("total: int = 0", "total: 'Decimal' = 0", "name 'Decimal' is not defined"),
    Mistake("RETURNED = 6", "RETURNED = 6\n    SOLD = 7", "to At.SOLD"),
    Mistake("on_failure=At.LOST", "on_failure=Other.X", "on_failure=Other.X"),
    Mistake("on_failure=At.LOST", "on_failure=[At.LOST]", "on_failure=[<At.LOST: 5>]"),
    Mistake("on_failure=At.LOST", 'on_failure="LOST"', "on_failure='LOST'"),
    Mistake("on_failure=At.LOST", "on_failure=At.PAID", "goes round for ever"),
    Mistake("shards=2", "shards=0", "shards=0"),
    Mistake("shards=2", "shards=17", "shards=17"),
    Mistake("retry=Retry(attempts=2)", "retry=2", "retry=2"),
    Mistake("max_in_flight=10", "max_in_flight=0.5", "max_in_flight=0.5"),
    Mistake("max_in_flight=10", "breaker=0.5", "can't have breaker=0.5; use Breaker(...)"),
    Mistake("timeout=5", 'timeout="5 s"', "timeout='5 s'"),
    Mistake("timeout=5", "timeout=0", "timeout=0"),
    Mistake("timeout=5", "flow=5", "can't have flow=5; use FlowControl(...)"),
]
IN_STEPS = [
    Mistake("@orders.step(At.PACKED", "@orders.step(Other.X", "is declared for Other.X"),
    Mistake("@orders.step(At.PACKED", '@orders.step("PACKED"', "is declared for 'PACKED'"),
    Mistake("@orders.step(At.PACKED", "@orders.step(3", "is declared for 3"),
    Mistake("@orders.step(At.PACKED", "@orders.step(None", "is declared for None"),
    Mistake(
        "@orders.step(At.PACKED", "@orders.step([At.PACKED]", "is declared for [<At.PACKED: 3>]"
    ),
    Mistake("@orders.step(At.PACKED", "@orders.step(At", "is declared for <enum 'At'>"),
    Mistake("@orders.step(At.PACKED", "@orders.step(At.PAID", "At.PAID has the step pack at"),
    Mistake("@orders.step(At.PACKED", "orders.step(At.PACKED", "has no function"),
    Mistake("@orders.step(At.RETURNED)", "orders.step(At.RETURNED)", "has no function"),
    Mistake(
        "@orders.step(At.PACKED",
        "@orders.step(At.PACKED)\n@orders.step(At.PACKED",
        "At.PACKED has the step send at",
    ),
    Mistake("@orders.step(At.NEW)", "@orders.step", "is declared without its status"),
    Mistake("@orders.step(At.RETURNED)", "@orders.step", "is declared without its status"),
    Mistake("def send(run: Run[Order, At])", "def send()", "doesn't take the run"),
    Mistake("def send(run", "def send(*, run", "doesn't take the run"),
    Mistake("def send(run: Run[Order, At])", "def send(*args: Any)", "names no parameters"),
    Mistake("def send(run: Run[Order, At])", "def send(self, run)", "has a parameter 'run'"),
    Mistake("it: int = scale.value", "it: int", "has a parameter 'it: int'"),
    Mistake("it: int = scale.value", "it: object = scale", "has a parameter 'it: object ="),
    Mistake("return At.SENT", "yield At.SENT", "is a generator"),
    Mistake("async def pay", "@hiding\nasync def pay", "use functools.wraps in the decorator"),
    Mistake("async def pay", "@print\nasync def pay", "step None is not a function"),
    Mistake("def send(", "@in_a_class\ndef send(", "is a class"),
]
RESULTS = {"pay": "At.PAID", "pack": "At.PACKED", "send": "At.SENT, At.NEW", "refund": "At.LOST"}
IN_ANNOTATIONS = [
    ("", "has no return annotation"),
    (" -> None", "may return None, which is not a result"),
    (" -> Literal[{}] | None", "may return None, which is not a result"),
    (" -> At", "may return At, which is neither"),
    (" -> str", "may return str, which is neither"),
    (" -> Any", "may return Any, which is neither"),
    (" -> Literal[Other.X]", "may return Other.X, which is neither"),
    (" -> Literal[Other.X, Other.Y, {}] | Cancel", "may return Other.X and Other.Y, which are"),
    (" -> Literal[Other.X] | Stay | None", "may return Other.X and None, which are"),
    (' -> Literal["PAID"]', "may return 'PAID', which is neither"),
    (" -> Literal[1, 2, 3]", "may return 1 and 2 and 3, which are"),
    (" -> list[Literal[{}]]", "may return list["),
    (' -> "Literal[At.PAYED]"', "fails with AttributeError"),
    (' -> "Literal[At.PAID"', "fails with SyntaxError"),
    (' -> "Nowhere"', "name 'Nowhere' is not defined"),
    (" -> Iterator[Literal[{}]]", "may return"),
    (" -> Cancel()", "may return Cancel(reason=''), which is neither"),
]
