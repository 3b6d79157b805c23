"""Resources are open in a role, and refused elsewhere."""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from workflow_ray.definition import resource
from workflow_ray.errors import InvalidInput

events: list[str] = []


@resource
async def connection() -> AsyncIterator[str]:
    events.append("open")
    yield "connected"
    events.append("close")


async def test_a_resource_is_open_inside_of_its_context() -> None:
    events.clear()
    async with connection.open() as value:
        assert value == "connected"
        assert events == ["open"]
    assert events == ["open", "close"]


USES: list[Callable[[Any], object]] = [
    lambda it: it.upper(),
    lambda it: it(),
    lambda it: it[0],
    str,
    len,
    bool,
    lambda it: f"{it}",
]


@pytest.mark.parametrize("use", USES)
def test_the_value_of_a_resource_can_be_used_only_in_a_role(use: Callable[[Any], object]) -> None:
    with pytest.raises(InvalidInput, match="resource connection: is open inside a role only"):
        use(connection.value)


def test_a_signature_with_a_resource_can_be_formatted() -> None:
    def step(it: str = connection.value) -> None: ...

    assert str(inspect.signature(step)) == "(it: str = connection.value) -> None"


async def no_generator() -> None: ...


async def with_a_parameter(url: str) -> AsyncIterator[str]:
    yield url


@pytest.mark.parametrize("function", [no_generator, with_a_parameter])
def test_a_resource_is_made_from_an_async_generator_without_parameters(function: Any) -> None:
    with pytest.raises(InvalidInput, match="must be `async def` without parameters"):
        resource(function)
