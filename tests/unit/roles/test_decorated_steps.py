"""A decorated step runs as the callable that a role calls: the outermost one."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import cache, partial, partialmethod, wraps
from typing import Any, Literal, cast
from unittest.mock import AsyncMock

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from tests.unit.wrappers import (
    NESTED,
    WRAPPERS,
    AsyncObject,
    PlainObject,
    async_wrapper,
    by_partial,
    in_a_thread,
    plain_wrapper,
)
from workflow_ray import Retry, Run, RunState, Runtime, resource
from workflow_ray.definition import Step
from workflow_ray.errors import InvalidDefinition
from workflow_ray.testing import WorkflowTester

Done = Literal[Stage.DONE]


@resource
async def scale() -> AsyncIterator[str]:
    yield "a scale"


async def asynchronous(run: ParcelRun, *, tool: str = scale.value) -> Done:
    await asyncio.sleep(0)
    run.data.label = tool
    return Stage.DONE


def plain(run: ParcelRun, *, tool: str = scale.value) -> Done:
    run.data.label = tool
    return Stage.DONE


CACHES = [(cache, None), (plain_wrapper, cache), (cache, plain_wrapper)]
"""functools.cache is not written in Python, and has no signature of its own."""


async def outcome_of(step: Any) -> Run[Parcel, Stage]:
    """The run that the step was made for, completed or failed."""
    workflow = parcels()
    workflow.step(Stage.NEW, retry=Retry(attempts=1))(step)
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        return await handle.get()


@pytest.mark.parametrize("function", [asynchronous, plain])
@pytest.mark.parametrize(("outer", "inner"), [*NESTED, (staticmethod, None), *CACHES])
async def test_any_wrapper_of_any_function_runs(
    function: Callable[..., Any],
    outer: Callable[..., Any],
    inner: Callable[..., Any] | None,
) -> None:
    step = outer(function if inner is None else inner(function))
    run = await outcome_of(step)
    assert (run.run_state, run.data.label) == (RunState.COMPLETED, "a scale"), run.reason


@pytest.mark.parametrize("outer", [plain_wrapper, async_wrapper, PlainObject, AsyncObject])
@pytest.mark.parametrize("function", [asynchronous, plain])
async def test_a_decorated_step_runs_on_the_local_runtime(
    function: Callable[..., Any], outer: Callable[..., Any]
) -> None:
    workflow = parcels()
    workflow.step(Stage.NEW)(outer(function))
    async with Runtime.local(workflow, records="memory://decorated") as runtime:
        handle = await runtime.client(workflow).trigger("1", Parcel())
        run = await handle.wait(timeout=20)
    assert run.data.label == "a scale"


async def test_a_plain_wrapper_runs_in_a_thread_and_what_it_returns_is_awaited_in_the_loop() -> (
    None
):
    threads: list[str] = []

    async def step(run: ParcelRun) -> Done:
        threads.append(threading.current_thread().name)
        return Stage.DONE

    @wraps(step)
    def wrapper(run: ParcelRun) -> Awaitable[Done]:
        threads.append(threading.current_thread().name)
        return step(run)

    assert (await outcome_of(wrapper)).run_state is RunState.COMPLETED
    assert threads[0] != threads[1] == threading.current_thread().name


async def test_a_plain_function_may_say_that_it_returns_an_awaitable() -> None:
    def step(run: ParcelRun) -> Awaitable[Done]:
        return asynchronous(run, tool="a ruler")

    assert (await outcome_of(step)).data.label == "a ruler"


class Packer:
    def __init__(self, label: str) -> None:
        self._label = label

    async def work(self, run: ParcelRun) -> Done:
        run.data.label = self._label
        return Stage.DONE

    def work_plainly(self, run: ParcelRun) -> Done:
        run.data.label = self._label
        return Stage.DONE

    async def label(self, run: ParcelRun, label: str) -> Done:
        run.data.label = label
        return Stage.DONE

    from_a_partial = partialmethod(label, label="red")


class AsyncPacker(Packer):
    async def __call__(self, run: ParcelRun) -> Done:
        return await self.work(run)


class PlainPacker(Packer):
    def __call__(self, run: ParcelRun) -> Done:
        return self.work_plainly(run)


packer = Packer("red")


@pytest.mark.parametrize(
    "step",
    [
        packer.work,
        packer.work_plainly,
        packer.from_a_partial,
        partial(packer.label, label="red"),
        partial(Packer.label, packer, label="red"),
        AsyncPacker("red"),
        PlainPacker("red"),
        partial(AsyncPacker("red")),
    ],
)
async def test_methods_partials_and_objects_that_can_be_called_are_steps(step: Any) -> None:
    assert (await outcome_of(step)).data.label == "red"


async def test_a_wrapper_may_give_an_argument_that_is_not_a_resource() -> None:
    async def step(run: ParcelRun, label: str) -> Done:
        run.data.label = label
        return Stage.DONE

    @wraps(step)
    async def wrapper(run: ParcelRun) -> Done:
        return await step(run, "given")

    assert (await outcome_of(wrapper)).data.label == "given"


async def test_a_partial_may_give_a_resource_as_a_default() -> None:
    async def step(run: ParcelRun, tool: str) -> Done:
        run.data.label = tool
        return Stage.DONE

    assert (await outcome_of(partial(step, tool=scale.value))).data.label == "a scale"


async def test_a_plain_wrappers_awaitable_fails_like_a_step() -> None:
    @plain_wrapper
    async def step(run: ParcelRun) -> Done:
        raise ValueError("torn")

    assert (await outcome_of(step)).reason == "ValueError: torn"


async def test_a_plain_wrappers_awaitable_has_a_time_limit_and_is_cancelled() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    @plain_wrapper
    async def step(run: ParcelRun) -> Done:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Stage.DONE

    workflow = parcels()
    workflow.step(Stage.NEW, timeout=5, retry=Retry(attempts=1))(step)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time(0)
        await begun.wait()
        await bench.pass_time(5)
        assert (await runs["1"].get()).reason == "it took longer than 5 s (timeout=5)"
    assert cancelled.is_set()


async def test_an_awaitable_that_comes_after_the_time_limit_is_closed_without_a_warning() -> None:
    begun, gate = threading.Event(), threading.Event()
    returned: list[Coroutine[Any, Any, Done]] = []

    async def late(run: ParcelRun) -> Done:
        return Stage.DONE

    def step(run: ParcelRun) -> Awaitable[Done]:
        begun.set()
        gate.wait()
        returned.append(late(run))
        return returned[0]

    workflow = parcels()
    workflow.step(Stage.NEW, timeout=5, retry=Retry(attempts=1))(step)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time(0)
        await asyncio.to_thread(begun.wait)
        await bench.pass_time(5)
        assert (await runs["1"].get()).run_state is RunState.PAUSED
        gate.set()
        while not returned or inspect.getcoroutinestate(returned[0]) != inspect.CORO_CLOSED:
            await asyncio.sleep(0.001)


# --- what is refused when it is defined ---------------------------------------------------------


def without_wraps(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]  # as careless code has it
        return await function(*args, **kwargs)

    return cast(Callable[..., Any], wrapper)


def that_takes_the_run_alone(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def wrapper(run: ParcelRun) -> Any:
        return await function(run)

    return wrapper


def that_takes_more(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def wrapper(run: ParcelRun, more: int, **kwargs: Any) -> Any:
        return await function(run, **kwargs)

    return wrapper


class NotCallable:
    pass


REFUSED: list[tuple[object, str]] = [
    (without_wraps(asynchronous), "use functools.wraps in the decorator"),
    (that_takes_the_run_alone(asynchronous), "is wrapped by a function that can't be called with"),
    (that_takes_more(asynchronous), "missing a required argument: 'more'"),
    (Packer, "is a class"),
    (NotCallable(), "is not a function"),
    (scale, "is not a function"),
    (partial(print), "is not a function"),
    (AsyncMock(), "names no parameters"),
]


@pytest.mark.parametrize(("step", "says"), REFUSED)
def test_what_can_not_be_called_as_a_step_is_one_mistake(step: Any, says: str) -> None:
    workflow = parcels()
    workflow.step(Stage.NEW)(step)
    with pytest.raises(InvalidDefinition) as raised:
        workflow.checked()
    (mistake,) = raised.value.mistakes
    assert says in mistake


def test_whether_a_wrapper_is_async_decides_not_what_it_wraps() -> None:
    kinds = {
        (outer, function): workflow_step(outer(function)).is_async
        for outer in WRAPPERS
        for function in (asynchronous, plain)
    }
    is_async = {async_wrapper, in_a_thread, AsyncObject}
    assert kinds == {
        (outer, function): function is asynchronous if outer is by_partial else outer in is_async
        for outer, function in kinds
    }


def workflow_step(function: Any) -> Step[Stage]:
    workflow = parcels()
    workflow.step(Stage.NEW)(function)
    (step,) = workflow.checked().steps
    return step
