"""The table of a port's methods agrees with its protocol."""

import inspect
from collections.abc import Mapping
from types import NoneType
from typing import Protocol

from workflow_ray.ports import STORE_PORTS, PositionMirror, Store, SystemClock, ports_of
from workflow_ray.ports.methods import methods_of, not_repeatable, properties_of
from workflow_ray.records import Arrivals, Topic
from workflow_ray.runtime.mixed import mixed
from workflow_ray_adapters.memory import MemoryStore

REQUIRED = inspect.Parameter.empty


class Shelf(Protocol):
    @property
    def height(self) -> int: ...

    async def add(self, book: "str", *, wait: float) -> None: ...

    def peek(self) -> str: ...


class Library(Shelf, Protocol):
    async def lend(self, book: str = "any") -> list[str]: ...


def test_the_asynchronous_methods_are_listed_with_inherited_ones_first() -> None:
    assert list(methods_of(Library)) == ["add", "lend"]
    assert properties_of(Library) == ("height",)


def test_a_parameter_keeps_its_kind_default_and_resolved_type() -> None:
    method = methods_of(Store)["receive"]
    described = [
        (each.name, each.annotation, each.kind is each.KEYWORD_ONLY, each.default)
        for each in method.parameters
    ]
    assert described == [
        ("topic", Topic, False, REQUIRED),
        ("offsets", Mapping[int, int], False, REQUIRED),
        ("reader", str, True, REQUIRED),
        ("limit", int, True, REQUIRED),
        ("wait", float, True, REQUIRED),
    ]
    assert method.returns is Arrivals
    assert methods_of(Shelf)["add"].parameters[0].annotation is str  # written as a string
    assert methods_of(Library)["lend"].parameters[0].default == "any"
    assert methods_of(Shelf)["add"].returns is NoneType


def test_a_method_with_a_wait_is_a_long_poll() -> None:
    long_polls = {name for name, method in methods_of(*STORE_PORTS).items() if method.is_long_poll}
    records = {"watch", "messages", "set_aside", "pending", "parked", "deployment"}
    assert long_polls == records | {"receive", "due", "move"}


def test_the_port_says_which_methods_are_not_repeatable() -> None:
    class Counter(Protocol):
        @not_repeatable
        async def add(self, count: int) -> None: ...

        async def read(self) -> int: ...

    assert [method.is_repeatable for method in methods_of(Counter).values()] == [False, True]
    once = {name for name, method in methods_of(*STORE_PORTS).items() if not method.is_repeatable}
    assert once == {"send", "deploy"}


def test_the_ports_of_a_store_are_those_that_it_implements() -> None:
    records, events = MemoryStore(SystemClock()), MemoryStore(SystemClock())
    assert ports_of(records) == STORE_PORTS
    assert [port.__name__ for port in ports_of(mixed(records, events, None))] == [
        "Store",
        "Trimmer",
    ]


def test_every_member_of_the_stores_ports_is_a_method_or_a_property() -> None:
    """Code that forwards the methods and the properties forwards the whole store."""
    members = {name for port in STORE_PORTS for name in dir(port) if not name.startswith("_")}
    assert members == {*methods_of(*STORE_PORTS), *properties_of(*STORE_PORTS)}
    assert properties_of(*STORE_PORTS) == ("stream_id", "store_id")
    assert not methods_of(PositionMirror)  # synchronous
