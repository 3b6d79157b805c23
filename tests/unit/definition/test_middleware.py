"""The mistakes in a workflow's middleware are reported with those of the rest of the definition."""

from collections.abc import AsyncIterator
from functools import partial, wraps
from typing import Any, Literal, cast

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage
from workflow_ray import FunctionCall, Proceed, Workflow
from workflow_ray.errors import InvalidDefinition


async def timing(call: FunctionCall, proceed: Proceed) -> object:
    return await proceed()


class Sentry:
    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    async def __call__(self, call: FunctionCall, proceed: Proceed) -> object:
        return await proceed()

    async def around(self, call: FunctionCall, proceed: Proceed) -> object:
        return await proceed()


async def tagged(call: FunctionCall, proceed: Proceed, *, tag: str) -> object:
    return await proceed()


@wraps(timing)
async def wrapped(*args: Any, **kwargs: Any) -> object:
    return await timing(*args, **kwargs)


def plain(call: FunctionCall, proceed: Proceed) -> object:
    return None


async def alone(call: FunctionCall) -> object:
    return None


async def greedy(call: FunctionCall, proceed: Proceed, more: int) -> object:
    return None


async def generator(call: FunctionCall, proceed: Proceed) -> AsyncIterator[object]:
    yield None


def packing(middleware: Any) -> Workflow[Parcel, Stage]:
    workflow = Workflow("parcels", Parcel, Stage, middleware=middleware)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    return workflow


def mistakes_of(middleware: Any) -> list[str]:
    with pytest.raises(InvalidDefinition) as raised:
        packing(middleware).checked()
    return [mistake.partition(": ")[2] for mistake in raised.value.mistakes]


@pytest.mark.parametrize(
    "middleware",
    [timing, Sentry("dsn"), Sentry("dsn").around, partial(tagged, tag="a"), wrapped],
    ids=["function", "object", "method", "partial", "wrapped"],
)
def test_each_kind_of_async_callable_is_accepted(middleware: Any) -> None:
    assert packing([middleware]).middleware == (middleware,)
    packing([middleware]).checked()
    packing(iter([middleware])).checked()


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ([5], "middleware has 5, which is not a function; hand in a list of async functions"),
        ([None], "middleware has None, which is not a function; "),
        ([Sentry], "which is not a function; hand in a list of async functions"),
        ("timing", "middleware has 'timing', which is not a function; "),
        ([plain], "middleware plain is not async; write `async def plain(call: FunctionCall, proc"),
        ([generator], "middleware generator is a generator; write `async def generator(call: "),
        ([alone], "middleware alone can't be called with two arguments (too many positional arg"),
        ([greedy], "middleware greedy can't be called with two arguments (missing a required arg"),
        ([tagged], "middleware tagged can't be called with two arguments (missing a required "),
        ([print], "middleware print is not a function; write `async def print("),
    ],
)
def test_anything_else_is_a_mistake_with_a_way_out(given: Any, mistake: str) -> None:
    (found,) = mistakes_of(given)
    assert mistake in found


def test_a_function_in_place_of_the_list_is_accepted_as_its_only_layer() -> None:
    workflow = packing(timing)
    workflow.checked()
    assert workflow.middleware == (timing,)


def test_all_mistakes_are_reported_together_with_those_of_the_rest() -> None:
    workflow = Workflow(
        "parcels", Parcel, Stage, middleware=cast(Any, [plain, alone]), partitions=0
    )
    with pytest.raises(InvalidDefinition) as raised:
        workflow.checked()
    text = "\n".join(raised.value.mistakes)
    assert "middleware plain" in text
    assert "middleware alone" in text
    assert "partitions=0" in text
    assert "nothing leads from the start" in text
