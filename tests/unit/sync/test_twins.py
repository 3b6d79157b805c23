"""The synchronous client has what the asynchronous one has."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import workflow_ray
from tests import sync_client
from workflow_ray import client, sync

PAIRS = {
    name: (getattr(client, name), kind)
    for name in sync.__all__
    if inspect.isclass(kind := getattr(sync, name))
}
SPECIAL = {"__aiter__": "__iter__"}
OF_ITS_OWN = {"Client.close"}
"""Methods without an original: there `async with` does it."""


def public(kind: type) -> dict[str, Callable[..., Any]]:
    return {
        name: function
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if name in SPECIAL or not name.startswith("_")
    }


def methods() -> Iterator[tuple[str, Callable[..., Any], Any]]:
    for kind, (original, twin) in PAIRS.items():
        for name, function in public(original).items():
            yield f"{kind}.{name}", function, getattr(twin, SPECIAL.get(name, name), None)


METHODS = {name: (function, twin) for name, function, twin in methods()}


@pytest.mark.parametrize("path", sync_client.modules(), ids=lambda path: path.stem)
def test_the_modules_are_those_that_make_sync_writes_now(path: Any) -> None:
    assert path.read_text() == sync_client.modules()[path], "run `make sync`"


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_twin_with_the_same_parameters(name: str) -> None:
    original, twin = METHODS[name]
    assert twin is not None, "run `make sync`"
    assert not inspect.iscoroutinefunction(twin)
    assert not inspect.isasyncgenfunction(twin)
    assert shape(twin) == shape(original)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_twin_with_the_same_docstring(name: str) -> None:
    original, twin = METHODS[name]
    assert docstring(twin) == re.sub("async (?=for|with)|await ", "", docstring(original))


def test_no_twin_has_lost_its_original() -> None:
    missing = [
        f"{kind}.{name}"
        for kind, (original, twin) in PAIRS.items()
        for name in public(twin)
        if name not in public(original)
    ]
    assert set(missing) == OF_ITS_OWN


def test_each_class_that_has_something_to_await_has_a_twin() -> None:
    """Of the names that `import workflow_ray` gives to users of a client."""
    awaited = {
        name
        for name in client.__all__
        if inspect.isclass(kind := getattr(client, name))
        and any(map(is_asynchronous, public(kind).values()))
    }
    assert awaited == PAIRS.keys(), (
        "add it to TWINS in tests/sync_client.py, and to workflow_ray.sync"
    )
    assert set(sync.__all__) <= set(workflow_ray.__all__)


def is_asynchronous(function: Callable[..., Any]) -> bool:
    returns = str(inspect.signature(function).return_annotation)
    return inspect.iscoroutinefunction(function) or "AsyncIterator" in returns


def shape(function: Callable[..., Any]) -> list[tuple[str, Any, Any, str]]:
    """The parameters, with their annotations as text, because twins name twins."""
    return [
        (
            name,
            each.kind,
            each.default,
            re.sub(r"workflow_ray\.(sync|client)\.", "", str(each.annotation)),
        )
        for name, each in inspect.signature(function).parameters.items()
    ]


def docstring(function: Callable[..., Any]) -> str:
    return inspect.getdoc(function) or ""
