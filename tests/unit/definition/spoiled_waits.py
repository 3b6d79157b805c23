"""A correct definition of all that a run can wait for, and single changes that make it wrong."""

from tests.unit.definition.spoiled import Mistake

SOURCE = """
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel

from workflow_ray import (
    Cancel, Children, Pause, Repeat, Retry, Run, Status, Stay, Workflow, resource,
)


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


class Payment(BaseModel):
    amount: int = 0


class Log:
    def open(self, *, clock: Any, events: str) -> Any:
        raise NotImplementedError  # a definition opens no source


@resource
async def scale() -> AsyncIterator[int]:
    yield 1


def hiding(function: Any) -> Any:
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


async def later(run: Run[Order, At]) -> datetime:
    return run.created_at


parcels = Workflow("parcels", Order, Other, entry=Other.Y)
orders = Workflow("orders", Order, At, start=At.NEW, entry=At.RETURNED, partitions=16)


@orders.callback(At.NEW, early=60, retry=Retry(attempts=2), timeout=5)
async def paid(run: Run[Order, At], message: Payment, it: int = scale.value) -> Literal[At.PAID]:
    return At.PAID


@orders.callback(At.PAID, At.PACKED)
def note(run: Run[Order, At], text: str) -> Literal[At.PAID] | Stay:
    return Stay()


@orders.timeout(At.PAID, after=timedelta(hours=1), on_failure=At.LOST, timeout=7)
async def remind(run: Run[Order, At]) -> Literal[At.PACKED] | Pause:
    return At.PACKED


@orders.timeout(At.PACKED, at=lambda run: run.created_at)
def forget(run: Run[Order, At]) -> Literal[At.LOST]:
    return At.LOST


@orders.child(At.PACKED, parcels)
async def arrived(run: Run[Order, At], child: Run[Order, Other]) -> Literal[At.SENT] | Stay:
    return At.SENT


@orders.children(At.RETURNED, parcels)
async def all_back(run: Run[Order, At], back: Children[Order, Other]) -> Literal[At.LOST]:
    return At.LOST


@orders.connector("carts", Log(), shards=2, ordered=True, retry=Retry(attempts=3))
async def on_cart(client: Any, event: Any, it: int = scale.value) -> None: ...


@orders.schedule("nightly", cron="0 2 * * *", timezone="Europe/Berlin", overlap="queue")
def nightly(tick: datetime) -> Order:
    return Order()


@orders.schedule("often", every=30, catch_up=90, jitter=3)
async def often(tick: datetime) -> Order:
    return Order()


@orders.on_pause
async def held(run: Run[Order, At]) -> None: ...


@orders.on_cancel(retry=Retry(attempts=4))
def dropped(run: Run[Order, At], it: int = scale.value) -> None: ...


@orders.scrub(retry=Retry(attempts=5))
async def emptied(run: Run[Order, At], it: int = scale.value) -> Order:
    return Order(total=0)
"""

CHILD = "@orders.child(At.PACKED, parcels)"
CHILDREN = "@orders.children(At.RETURNED, parcels)"
NIGHTLY = '@orders.schedule("nightly", cron="0 2 * * *", timezone="Europe/Berlin", overlap="queue")'
IN_STATUSES = [
    Mistake("@orders.callback(At.NEW,", "@orders.callback(Other.X,", "is declared for Other.X"),
    Mistake("@orders.callback(At.NEW,", "@orders.callback([At.NEW],", "is declared for [<At.NEW"),
    Mistake("@orders.callback(At.NEW,", "@orders.callback(", "is declared for no status"),
    Mistake(
        "@orders.callback(At.PAID, At.PACKED)",
        "@orders.callback(At.PAID, Other.Y)",
        "callback note is declared for Other.Y",
    ),
    Mistake("@orders.callback(At.PAID, At.PACKED)", "@orders.callback", "without its status"),
    Mistake("@orders.callback(At.PAID", "orders.callback(At.PAID", "a callback of At.PAID and At"),
    Mistake("@orders.timeout(At.PAID,", "@orders.timeout(7,", "timeout remind is declared for 7"),
    Mistake(
        "@orders.timeout(At.PACKED, at=lambda run: run.created_at)",
        "@orders.timeout",
        "timeout forget is declared without its status; write `.timeout(",
    ),
    Mistake("@orders.timeout(At.PAID,", "orders.timeout(At.PAID,", "a timeout of At.PAID has no"),
    Mistake(CHILD, "@orders.child(Other.X, parcels)", "child function arrived is declared for"),
    Mistake(CHILD, CHILD[1:], "a child function of At.PACKED has no function"),
    Mistake(CHILDREN, "@orders.children(None, parcels)", "children function all_back is declared"),
    Mistake(CHILDREN, CHILDREN[1:], "a children function of At.RETURNED has no function"),
    Mistake("LOST = 5", "LOST = 5\n    SOLD = 7", "let a step return it"),
    Mistake("on_failure=At.LOST", "on_failure=Other.X", "has on_failure=Other.X"),
    Mistake("on_failure=At.LOST", "on_failure=At.PAID", "goes round for ever"),
]
IN_OPTIONS = [
    Mistake("early=60", "early=-1", "can't have early=-1"),
    Mistake("early=60", "early=None", "can't have early=None"),
    Mistake("early=60", "early='1 h'", "can't have early='1 h'"),
    Mistake("retry=Retry(attempts=2)", "retry=2", "callback paid has retry=2"),
    Mistake("timeout=5", "timeout=0", "callback paid can't have timeout=0"),
    Mistake("timeout=7", "timeout='7 s'", "timeout remind can't have timeout='7 s'"),
    Mistake("after=timedelta(hours=1), ", "", "has no time; give after="),
    Mistake(
        "after=timedelta(hours=1)",
        "after=5, at=lambda run: run.created_at",
        "has both after= and at=",
    ),
    Mistake("after=timedelta(hours=1)", "after=-5", "can't have after=-5"),
    Mistake("after=timedelta(hours=1)", "after='1h'", "can't have after='1h'"),
    Mistake("at=lambda run: run.created_at", "at=datetime.now()", "can't have at=datetime"),
    Mistake("at=lambda run: run.created_at", "at=later", "can't have an async function as at="),
    Mistake(CHILD, '@orders.child(At.PACKED, "parcels")', "children of 'parcels', which is not a"),
    Mistake(CHILD, "@orders.child(At.PACKED, Workflow)", "which is not a Workflow"),
    Mistake(CHILDREN, "@orders.children(At.RETURNED, None)", "which is not a Workflow"),
]
IN_FUNCTIONS = [
    Mistake(
        "message: Payment, it", "it", "callback paid doesn't take the message; make it the sec"
    ),
    Mistake("message: Payment, it", "*, message: Payment, it", "doesn't take the message"),
    Mistake(
        "def paid(run: Run[Order, At], message: Payment, it: int = scale.value)",
        "def paid()",
        "doesn't take the run; make it the first parameter",
    ),
    Mistake("message: Payment,", "message,", "doesn't say what its message is"),
    Mistake("message: Payment,", "message: BaseModel,", "has a message of BaseModel"),
    Mistake("message: Payment,", "message: Log,", "has a message that pydantic can't read"),
    Mistake("message: Payment,", "message: 'Paymnt',", "name 'Paymnt' is not defined"),
    Mistake("message: Payment,", "message: 'Order.nope',", "fails with AttributeError"),
    Mistake("text: str", "text: str, more: str", "'more: str' beyond the run and the message"),
    Mistake(
        "amount: int = 0", "amount: 'Decimal' = 0", "whose model Payment has fields that can't"
    ),
    Mistake("async def paid", "@hiding\nasync def paid", "make the run and the message the first"),
    Mistake("child: Run[Order, Other]", "*, child: Run[Order, Other]", "doesn't take the child"),
    Mistake(", back: Children[Order, Other]", "", "doesn't take the children"),
    Mistake("def forget(run: Run[Order, At])", "def forget()", "doesn't take the run"),
    Mistake("    return Stay()", "    yield Stay()", "callback note is a generator"),
    Mistake(
        "Literal[At.PAID] | Stay", "Literal[At.PAID] | Repeat", "Repeat, which only a step may"
    ),
    Mistake(
        "def forget(", "def remind(", "timeout remind is one too many: its name is that of the"
    ),
    Mistake("def note(", "def paid(", "one too many: its name is that of the callback paid at"),
    Mistake("def forget(", "def note(", "its name is that of the callback note at"),
    Mistake(
        "@orders.callback(At.PAID, At.PACKED)",
        "@orders.callback(At.PAID)\n@orders.callback(At.PACKED)",
        "or name all statuses in one `.callback`",
    ),
    Mistake(CHILD, f"{CHILD}\n{CHILD}", "At.PACKED has for <workflow parcels> the child function"),
    Mistake(CHILDREN, f"{CHILDREN}\n{CHILDREN}", "the children function all_back at"),
]
IN_HANDLERS = [
    Mistake('connector("carts"', 'connector("my carts"', "has a name that can't be part of a role"),
    Mistake('connector("carts"', 'connector("new-carts"', "a name that can't be part of a role"),
    Mistake('connector("carts"', "connector(5", "connector 5 has a name"),
    Mistake('connector("carts"', 'connector("x" * 101', "a name that can't be part of a role"),
    Mistake(
        '@orders.connector("carts"', 'orders.connector("carts"', "connector 'carts' has no fun"
    ),
    Mistake("Log()", "Log", "which is not a ConnectorSource"),
    Mistake("Log()", '"carts"', "has the source 'carts', which is not a ConnectorSource"),
    Mistake("shards=2", "shards=0", "connector 'carts' can't have shards=0"),
    Mistake("shards=2", "shards=5000", "use 1 to 4096"),
    Mistake("ordered=True", 'ordered="yes"', "can't have ordered='yes'"),
    Mistake("ordered=True", "ray=1", "can't have ray=1; use RayOptions(...)"),
    Mistake("retry=Retry(attempts=3)", "retry=3", "connector 'carts' has retry=3"),
    Mistake("(client: Any, event: Any, it", "(client: Any, it", "doesn't take the event"),
    Mistake("client: Any, event: Any, it", "it", "doesn't take the client"),
    Mistake(
        "event: Any, it: int = scale.value", "event: Any, it: int", "beyond the client and the"
    ),
    Mistake("async def on_cart", "@hiding\nasync def on_cart", "make the client and the event the"),
    Mistake(NIGHTLY, "@orders.schedule", "is declared without its name and its ticks"),
    Mistake(NIGHTLY, NIGHTLY[1:], "schedule 'nightly' has no function"),
    Mistake('"nightly"', '"every night"', "has a name that can't be part of a role"),
    Mistake('"often"', '"nightly"', "schedule 'nightly' is one too many: its name is that of the"),
    Mistake('"0 2 * * *"', '"0 25 * * *"', "can't have cron='0 25 * * *': Bad hour"),
    Mistake('"0 2 * * *"', '"daily"', "can't have cron='daily'"),
    Mistake('"0 2 * * *"', '"0 0 30 2 *"', "Bad day-of-month"),
    Mistake('"0 2 * * *"', '"0 0 */28 2 1#2"', "it has no tick in the next 50 years"),
    Mistake('"0 2 * * *"', '""', "can't have cron=''"),
    Mistake('"0 2 * * *"', "5", "can't have cron=5: it is not text"),
    Mistake('cron="0 2 * * *", ', "", "has no ticks"),
    Mistake('cron="0 2 * * *", timezone="Europe/Berlin", ', "", "has no ticks"),
    Mistake('cron="0 2 * * *"', 'cron="0 2 * * *", every=5', "has both cron= and every="),
    Mistake('"Europe/Berlin"', '"Europe/Berlim"', "can't have timezone='Europe/Berlim'"),
    Mistake('"Europe/Berlin"', '"../etc/passwd"', "can't have timezone="),
    Mistake('"Europe/Berlin"', '"Europe"', "can't have timezone='Europe'"),
    Mistake('"Europe/Berlin"', '""', "can't have timezone=''"),
    Mistake('"Europe/Berlin"', "2", "can't have timezone=2"),
    Mistake("every=30", "every=30, timezone='UTC'", "which only cron= needs"),
    Mistake("every=30", "every=0", "can't have every=0: it is a whole number of milliseconds"),
    Mistake("every=30", "every=30.0001", "can't have every=30.0001"),
    Mistake("every=30", "every='30 s'", "can't have every='30 s'"),
    Mistake("catch_up=90", "catch_up=-1", "can't have catch_up=-1"),
    Mistake("jitter=3", "jitter=None", "can't have jitter=None"),
    Mistake("jitter=3", "jitter=31", "can't have jitter=31, which is longer than every=30"),
    Mistake('overlap="queue"', 'overlap="wait"', "can't have overlap='wait'"),
    Mistake('overlap="queue"', "overlap=[]", "can't have overlap=[]"),
    Mistake("def nightly(tick: datetime)", "def nightly()", "doesn't take the tick"),
    Mistake(
        "def nightly(tick: datetime)", "def nightly(tick: datetime, x: int)", "beyond the tick"
    ),
    Mistake(
        "def nightly(tick: datetime)",
        "def nightly(tick: datetime, it: int = scale.value)",
        "takes the resource it, which a schedule can't have",
    ),
    Mistake(
        "    return Order()\n\n\n@orders.schedule", "    yield 1\n\n\n@orders.schedule", "gener"
    ),
    Mistake("@orders.on_pause", "orders.on_pause()", "a hook for PAUSED has no function"),
    Mistake("retry=Retry(attempts=4)", "retry=4", "hook dropped has retry=4"),
    Mistake("held(run: Run[Order, At])", "held()", "hook held doesn't take the run"),
    Mistake("held(run: Run[Order, At])", "held(run, why)", "'why' beyond the run"),
    Mistake("@orders.on_pause", "@orders.on_pause\n@orders.on_pause", "that of the hook held at"),
    Mistake(
        "@orders.scrub(retry=Retry(attempts=5))", "orders.scrub()", "a scrubber has no function"
    ),
    Mistake("retry=Retry(attempts=5)", "retry=5", "scrubber emptied has retry=5"),
    Mistake("emptied(run: Run[Order, At], it: int = scale.value)", "emptied()", "take the run"),
    Mistake(
        "@orders.scrub(retry=Retry(attempts=5))",
        "@orders.scrub\n@orders.scrub",
        "the workflow has the scrubber emptied at",
    ),
]
RESULTS = {
    "paid": "At.PAID",
    "remind": "At.PACKED",
    "forget": "At.LOST",
    "arrived": "At.SENT",
    "all_back": "At.LOST",
}
