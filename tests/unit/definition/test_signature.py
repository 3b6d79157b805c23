"""What a definition reads from the function of a step."""

from collections.abc import AsyncIterator, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest
from pydantic import BaseModel

from workflow_ray.definition import (
    Cancel,
    Pause,
    Repeat,
    Run,
    Status,
    Stay,
    Step,
    Workflow,
    resource,
)

if TYPE_CHECKING:
    from decimal import Decimal


class Light(Status):
    RED = 1
    GREEN = 2


class Lamp(BaseModel):
    hours: int = 0


class Tool: ...


@resource
async def tool() -> AsyncIterator[Tool]:
    yield Tool()


def step_of(function: Any) -> Step[Light]:
    workflow = Workflow("lamps", Lamp, Light)
    workflow.step(Light.RED, on_failure=Light.GREEN)(function)
    (step,) = workflow.checked().steps
    return step


Result: TypeAlias = Literal[Light.RED] | Cancel
Nested: TypeAlias = Literal[Light.GREEN] | Result


async def by_alias(run: Run[Lamp, Light]) -> Result:
    return Light.RED


async def by_nested_aliases(run: Run[Lamp, Light]) -> Nested | Stay:
    return Light.RED


async def by_text(run: Run[Lamp, Light]) -> "Literal[Light.RED] | Later":
    return Light.RED


async def by_halts_alone(run: Run[Lamp, Light]) -> Pause | Repeat:
    return Pause()


Later: TypeAlias = Cancel


@pytest.mark.parametrize(
    ("function", "returns", "halts"),
    [
        (by_alias, {Light.RED}, {Cancel}),
        (by_nested_aliases, {Light.RED, Light.GREEN}, {Cancel, Stay}),
        (by_text, {Light.RED}, {Cancel}),
        (by_halts_alone, set[Light](), {Pause, Repeat}),
    ],
)
def test_the_annotation_lists_what_may_be_returned(
    function: Callable[..., Any], returns: set[Light], halts: set[type]
) -> None:
    step = step_of(function)
    assert step.returns == returns
    assert step.halts == halts


def test_only_the_return_annotation_is_evaluated() -> None:
    async def priced(
        run: "Run[Lamp, Light]",
        price: "Decimal" = tool.value,  # type: ignore[assignment]  # defaults are not checked here
    ) -> Literal[Light.GREEN]:
        return Light.GREEN

    assert step_of(priced).returns == {Light.GREEN}


def test_names_of_the_place_where_it_is_decorated_are_known() -> None:
    class Local(Status):
        A = 1
        B = 2

    workflow = Workflow("local", Lamp, Local)

    @workflow.step(Local.A)
    async def go(run: "Run[Lamp, Local]") -> "Literal[Local.B]":
        return Local.B

    assert workflow.checked().targets(Local.A) == {Local.B}


def test_resources_are_known_by_parameter() -> None:
    async def work(
        run: Run[Lamp, Light], first: Tool = tool.value, *, second: Tool = tool.value
    ) -> Result:
        return Cancel()

    assert step_of(work).resources == {"first": tool, "second": tool}


def test_the_annotations_are_read_through_functools_wraps() -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    step = step_of(traced(by_alias))
    assert not step.is_async  # the wrapper is a plain function, whatever it returns
    assert step.name == "by_alias"
    assert step.returns == {Light.RED}


def test_plain_functions_and_methods_are_steps_too() -> None:
    class Lamps:
        def work(self, run: Run[Lamp, Light]) -> Result:
            return Light.RED

    step = step_of(Lamps().work)
    assert not step.is_async
    assert step.resources == {}


def test_the_decorator_returns_the_same_function() -> None:
    workflow = Workflow("lamps", Lamp, Light)
    assert workflow.step(Light.RED)(by_alias) is by_alias
