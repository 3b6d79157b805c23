"""What a definition makes of the functions that a run waits for."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from workflow_ray.definition import (
    Callback,
    Cancel,
    ChildFunction,
    Children,
    ChildrenFunction,
    Connector,
    Hook,
    Pause,
    Retry,
    Run,
    Schedule,
    Status,
    Stay,
    TimeoutFunction,
    Workflow,
    resource,
)
from workflow_ray.errors import InvalidDefinition
from workflow_ray.records import RunState


class At(Status):
    NEW = 1
    OPEN = 2
    WAITING = 3
    DONE = 4
    LOST = 5


class PartAt(Status):
    MADE = 1


class Order(BaseModel):
    total: int = 0


class Payment(BaseModel):
    receipt: str


class Log:
    def open(self, *, clock: Any, events: str) -> Any:
        raise NotImplementedError  # a definition opens no source


class Tool: ...


@resource
async def tool() -> AsyncIterator[Tool]:
    yield Tool()


Here = Run[Order, At]
Part = Run[Order, PartAt]
parts = Workflow("parts", Order, PartAt)
others = Workflow("others", Order, PartAt)
orders = Workflow("orders", Order, At)
LOG = Log()


@orders.step(At.NEW)
async def begin(run: Here) -> Literal[At.OPEN]:
    return At.OPEN


@orders.callback(
    At.NEW, At.OPEN, early=timedelta(minutes=1), retry=Retry(attempts=7), timeout=timedelta(hours=1)
)
async def paid(run: Here, message: Payment, it: Tool = tool.value) -> Literal[At.WAITING] | Cancel:
    return At.WAITING


@orders.callback(At.OPEN)
def noted(run: Here, text: Annotated[str, Field(min_length=1)]) -> Stay:
    return Stay()


@orders.timeout(At.OPEN, after=timedelta(hours=1), on_failure=At.LOST)
async def expire(run: Here) -> Pause:
    return Pause()


def soon(run: Here) -> datetime:
    return run.created_at


@orders.timeout(At.OPEN, at=soon)
def hurry(run: Here) -> Stay:
    return Stay()


@orders.child(At.WAITING, parts)
async def one(run: Here, child: Part) -> Literal[At.DONE] | Stay:
    return Stay()


@orders.child(At.WAITING, others)
async def another(run: Here, child: Part) -> Stay:
    return Stay()


@orders.children(At.WAITING, parts)
async def every(run: Here, children: Children[Order, PartAt]) -> Literal[At.DONE]:
    return At.DONE


@orders.connector("carts", LOG, shards=3, retry=Retry(attempts=9), ordered=True)
async def on_cart(client: Any, event: Any, it: Tool = tool.value) -> None: ...


@orders.schedule("nightly", cron="0 2 * * *", timezone="Europe/Berlin", overlap="allow")
def nightly(tick: datetime) -> Order:
    return Order()


@orders.schedule("often", every=timedelta(seconds=30), catch_up=timedelta(minutes=2), jitter=1)
async def often(tick: datetime) -> Order:
    return Order()


@orders.on_pause
async def held(run: Here) -> None: ...


@orders.on_cancel(retry=Retry(attempts=8))
@orders.on_complete
def ended(run: Here, it: Tool = tool.value) -> None: ...


graph = orders.checked()


# --- the graph ----------------------------------------------------------------------------------


def test_the_functions_of_a_status_are_in_the_order_of_their_declaration() -> None:
    assert [each.name for each in graph.functions(At.OPEN)] == ["paid", "noted", "expire", "hurry"]
    assert [each.name for each in graph.callbacks(At.OPEN)] == ["paid", "noted"]
    assert [each.name for each in graph.timeouts(At.OPEN)] == ["expire", "hurry"]
    assert [each.name for each in graph.functions(At.NEW)] == ["begin", "paid"]
    for at_end in (graph.functions(At.DONE), graph.callbacks(At.DONE), graph.timeouts(At.DONE)):
        assert at_end == ()


def test_a_callback_is_found_by_its_name_and_by_its_function() -> None:
    callback = graph.callback("paid")
    assert callback is graph.callback_of(paid)
    assert callback is not None
    assert callback.statuses == {At.NEW, At.OPEN}
    assert graph.callback("expire") is None
    assert graph.callback_of(expire) is None


def test_a_function_of_children_is_found_by_the_name_of_their_workflow() -> None:
    child, other = graph.child(At.WAITING, "parts"), graph.child(At.WAITING, "others")
    assert child is not None
    assert other is not None
    assert (child.name, child.child, other.name) == ("one", parts, "another")
    children = graph.children(At.WAITING, "parts")
    assert children is not None
    assert (children.name, children.status, children.child) == ("every", At.WAITING, parts)
    assert graph.children(At.WAITING, "others") is None
    assert graph.child(At.OPEN, "parts") is None
    assert graph.child_functions == (child, other)
    assert graph.children_functions == (children,)


def test_a_status_is_terminal_if_it_has_no_function_of_any_kind() -> None:
    assert graph.statuses_with_functions == (At.NEW, At.OPEN, At.WAITING)
    assert [status for status in At if graph.is_terminal(status)] == [At.DONE, At.LOST]


def test_all_functions_of_a_status_lead_to_its_targets() -> None:
    assert graph.targets(At.NEW) == {At.OPEN, At.WAITING}
    assert graph.targets(At.OPEN) == {At.WAITING, At.LOST}
    assert graph.targets(At.WAITING) == {At.DONE}
    assert graph.reaches(At.NEW, At.LOST)
    assert not graph.reaches(At.WAITING, At.LOST)


def test_a_workflow_may_have_callbacks_and_no_step() -> None:
    waiting = Workflow("waiting", Order, PartAt)

    @waiting.callback(PartAt.MADE)
    async def again(run: Part, message: Payment) -> Literal[PartAt.MADE] | Stay:
        return Stay()

    found = waiting.checked()
    assert found.steps == ()
    assert not found.is_terminal(PartAt.MADE)


def test_a_workflow_may_wait_for_children_of_its_own() -> None:
    tree = Workflow("tree", Order, At, entry=[At.OPEN, At.WAITING, At.LOST])

    @tree.child(At.NEW, tree)
    async def grown(run: Here, child: Here) -> Literal[At.DONE]:
        return At.DONE

    (found,) = tree.checked().child_functions
    assert found.child is tree


# --- the functions ------------------------------------------------------------------------------


def test_a_callback_is_read_with_all_its_arguments() -> None:
    callback = graph.callback("paid")
    assert isinstance(callback, Callback)
    assert callback.early == 60
    assert callback.timeout == 3600
    assert callback.retry == Retry(attempts=7)
    assert callback.returns == {At.WAITING}
    assert callback.halts == {Cancel}
    assert callback.resources == {"it": tool}
    assert callback.on_failure is None
    assert callback.is_async
    assert callback.where.startswith(f"{__file__}:")
    noted_callback = graph.callback("noted")
    assert noted_callback is not None
    assert (noted_callback.early, noted_callback.is_async) == (0.0, False)


def test_a_timeout_is_read_with_all_its_arguments() -> None:
    first, second = graph.timeouts(At.OPEN)
    assert isinstance(first, TimeoutFunction)
    assert (first.status, first.after, first.at, first.on_failure) == (At.OPEN, 3600, None, At.LOST)
    assert (second.after, second.at, second.is_async) == (None, soon, False)


def test_functions_of_children_are_read() -> None:
    assert {type(each) for each in graph.functions(At.WAITING)} == {ChildFunction, ChildrenFunction}


def test_a_connector_is_read_with_all_its_arguments() -> None:
    (connector,) = graph.connectors
    assert isinstance(connector, Connector)
    assert (connector.name, connector.shards, connector.ordered) == ("carts", 3, True)
    assert connector.source is LOG
    assert connector.retry == Retry(attempts=9)
    assert connector.resources == {"it": tool}
    assert connector.function is on_cart


def test_a_schedule_is_read_with_all_its_arguments() -> None:
    first, second = graph.schedules
    assert isinstance(first, Schedule)
    assert (first.name, first.cron, first.timezone) == ("nightly", "0 2 * * *", "Europe/Berlin")
    assert (first.every, first.overlap, first.catch_up, first.jitter) == (None, "allow", 3600, 0)
    assert (second.cron, second.timezone, second.every) == (None, "UTC", 30)
    assert (second.overlap, second.catch_up, second.jitter) == ("skip", 120, 1)


def test_a_function_may_be_a_hook_of_several_run_states() -> None:
    assert all(isinstance(hook, Hook) for hook in graph.hooks)
    assert [(hook.run_state, hook.name) for hook in graph.hooks] == [
        (RunState.PAUSED, "held"),
        (RunState.COMPLETED, "ended"),
        (RunState.CANCELLED, "ended"),
    ]
    assert graph.hooks[2].retry == Retry(attempts=8)
    assert graph.hooks[2].resources == {"it": tool}


def test_a_function_within_a_function_has_its_plain_name() -> None:
    waiting = Workflow("waiting", Order, PartAt)

    class Desk:
        async def paid(self, run: Part, message: Payment) -> Stay:
            return Stay()

        async def __call__(self, run: Part, message: Payment) -> Stay:
            return Stay()

    waiting.callback(PartAt.MADE)(Desk().paid)
    waiting.callback(PartAt.MADE)(Desk())
    found = waiting.checked().callbacks(PartAt.MADE)
    assert [callback.name for callback in found] == ["paid", "Desk"]


def test_a_partial_can_be_a_callback() -> None:
    waiting = Workflow("waiting", Order, PartAt)

    async def paid(run: Part, message: Payment, *, desk: int) -> Stay:
        return Stay()

    waiting.callback(PartAt.MADE)(partial(paid, desk=3))
    (callback,) = waiting.checked().callbacks(PartAt.MADE)
    assert (callback.name, callback.message_type) == ("paid", Payment)


def test_a_function_that_is_declared_too_late_is_refused_at_once() -> None:
    with pytest.raises(InvalidDefinition, match="callback late comes after the workflow was put"):

        @orders.callback(At.OPEN)
        async def late(run: Here, message: Payment) -> Stay:
            return Stay()

    with pytest.raises(InvalidDefinition, match="hook late_too comes after the workflow was put"):

        @orders.on_pause
        async def late_too(run: Here) -> None: ...
