"""Each wrong argument of a public call is one error that names the argument."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import workflow_ray
from tests.unit.arguments.awaited import AWAITED
from tests.unit.arguments.elsewhere import ELSEWHERE, ENUMS
from tests.unit.arguments.made import MADE
from tests.unit.arguments.world import At, Order, World, Wrong, orders
from workflow_ray import RunState, Runtime, WorkflowError
from workflow_ray.errors import InvalidInput, UnknownScheme
from workflow_ray.testing import WorkflowTester

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def wrong_of(calls: Mapping[str, tuple[Any, dict[str, Any], Wrong]]) -> list[Any]:
    return [
        pytest.param(name, argument, value, id=f"{name}({argument}={short(value)})")
        for name, (_, _, arguments) in calls.items()
        for argument, values in arguments.items()
        for value in values
    ]


def short(value: object) -> str:
    """Show the value without its address: xdist's processes must name the tests alike."""
    if isinstance(value, int) and value > 10**9:
        return "a huge int"
    return re.sub(" at 0x[0-9a-f]+", "", str(value))[:40]


def check(error: WorkflowError, argument: str, value: object) -> None:
    text = str(error)
    names_it = argument in text or "@resource" in text
    assert names_it or (isinstance(error, UnknownScheme) and str(value) in text), text
    assert "\n" not in text
    assert len(text) < 400


@pytest.mark.parametrize(("name", "argument", "value"), wrong_of(MADE))
def test_a_wrong_argument_is_one_error_that_names_it(name: str, argument: str, value: Any) -> None:
    call, right, _ = MADE[name]
    with pytest.raises(WorkflowError) as raised:
        call(**{**right, argument: value})
    check(raised.value, argument, value)


@pytest.mark.parametrize("name", AWAITED)
async def test_wrong_arguments_of_a_call_are_errors_that_name_them(name: str) -> None:
    async with (
        WorkflowTester(orders) as tester,
        Runtime.local(orders, records="memory://arguments") as runtime,
    ):
        client = tester.client(orders)
        handle = await client.trigger("first", Order())
        await handle.wait()
        world = World(tester, runtime, client, handle)
        call, right, arguments = AWAITED[name]
        for argument, values in arguments.items():
            for value in values:
                with pytest.raises(WorkflowError) as raised:
                    await finished(call(world)(**{**right, argument: value}))
                check(raised.value, argument, value)
        assert await client.counts() == {(At.DONE, RunState.COMPLETED): 1}, "nothing was written"


async def finished(called: Any) -> None:
    if hasattr(called, "__aiter__"):
        async for _ in called:
            pass
    elif hasattr(called, "__aenter__"):
        async with called:
            pass
    else:
        await called


def test_every_argument_of_every_public_call_is_tested() -> None:
    known = {**{name: set(wrong) for name, (_, _, wrong) in {**MADE, **AWAITED}.items()}}
    missing: list[str] = []
    for name, call in public_calls():
        if name in ELSEWHERE:
            continue
        parameters = [
            each
            for each, parameter in inspect.signature(call).parameters.items()
            if each != "self" and parameter.kind not in VARIADIC
        ]
        missing += [f"{name}({each}=)" for each in parameters if each not in known.get(name, set())]
        missing += [] if name in known else [name]
    assert missing == []


def public_calls() -> list[tuple[str, Callable[..., Any]]]:
    calls: list[tuple[str, Callable[..., Any]]] = []
    named = {name: getattr(workflow_ray, name) for name in workflow_ray.__all__}
    for name, public in {**named, "WorkflowTester": WorkflowTester}.items():
        if name in ENUMS:
            continue
        calls.append((name, public))
        if inspect.isclass(public) and not issubclass(public, Exception):
            calls += [
                (f"{name}.{method}", function)
                for method, function in inspect.getmembers(public, inspect.isfunction)
                if not method.startswith("_")
            ]
    return calls


def test_a_tester_has_at_least_one_workflow() -> None:
    with pytest.raises(InvalidInput, match="workflows: hand in at least one"):
        WorkflowTester()
