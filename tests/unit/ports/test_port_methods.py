"""The table of a port's methods says what its protocol says."""

import inspect
from collections.abc import Mapping
from types import NoneType
from typing import Protocol

from workflow_ray.ports import OutboxMover, PositionMirror, Store, Trimmer
from workflow_ray.ports.methods import methods_of, properties_of
from workflow_ray.records import Arrivals, Topic

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
    assert method.answers is Arrivals
    assert methods_of(Shelf)["add"].parameters[0].annotation is str  # written as a string
    assert methods_of(Library)["lend"].parameters[0].default == "any"
    assert methods_of(Shelf)["add"].answers is NoneType


def test_what_takes_a_wait_is_a_long_poll() -> None:
    assert {
        name for name, method in methods_of(Store, OutboxMover, Trimmer).items() if method.waits
    } == {*("watch", "pending", "deployment", "receive", "due", "move")}


def test_every_member_of_the_stores_ports_is_a_method_or_a_property() -> None:
    """Whoever passes on the methods and the properties has passed on the whole store."""
    ports = Store, OutboxMover, Trimmer
    members = {name for port in ports for name in dir(port) if not name.startswith("_")}
    assert members == {*methods_of(*ports), *properties_of(*ports)}
    assert properties_of(*ports) == ("stream_id", "store_id")
    assert not methods_of(PositionMirror)  # synchronous
