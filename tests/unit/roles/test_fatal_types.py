"""Errors of the types in `Retry.fatal` end the attempts, whatever function raises them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from workflow_ray import Cause, Retry, Run, RunState, Status, Stay, Workflow
from workflow_ray.errors import CallbackFailed
from workflow_ray.roles.execution import failed
from workflow_ray.testing import WorkflowTester

HOUR = timedelta(hours=1)


class NoCard(ValueError):
    """The user's own error."""


class At(Status):
    NEW = 1
    DUE = 2
    WAITING = 3
    GATHERING = 4
    SENT = 5
    LOST = 6


class Leg(Status):
    NEW = 1
    DONE = 2


class Order(BaseModel):
    fails_with: str = "fatal"


OrderRun = Run[Order, At]
ERRORS: dict[str, Callable[[], Exception]] = {
    "fatal": lambda: NoCard("expired"),
    "other": lambda: OSError("down"),
    "group": lambda: ExceptionGroup("both", [OSError("down"), NoCard("expired")]),
}
RETRY = Retry(attempts=3, backoff=timedelta(seconds=1), fatal=(ValueError,))


def raising(run: OrderRun) -> None:
    raise ERRORS[run.data.fails_with]()


def made(
    calls: list[str], on_failure: At | None = None
) -> tuple[Workflow[Order, At], Workflow[Order, Leg]]:
    """Runs begin at a status whose function raises. Each call is noted."""
    legs = Workflow("legs", Order, Leg)

    @legs.step(Leg.NEW)
    async def travel(run: Run[Order, Leg]) -> Literal[Leg.DONE]:
        return Leg.DONE

    orders = Workflow("orders", Order, At, entry=tuple(At))

    @orders.step(At.NEW, retry=RETRY, on_failure=on_failure)
    async def charge(run: OrderRun) -> Literal[At.SENT, At.DUE, At.LOST]:
        calls.append("step")
        raising(run)
        return At.SENT

    @orders.timeout(At.DUE, after=HOUR, retry=RETRY, on_failure=on_failure)
    def expire(run: OrderRun) -> Literal[At.SENT]:
        calls.append("timeout")
        raising(run)
        return At.SENT

    @orders.callback(At.DUE, retry=RETRY)
    async def paid(run: OrderRun, message: str) -> Literal[At.WAITING]:
        calls.append("callback")
        raising(run)
        return At.WAITING

    @orders.step(At.WAITING)
    async def start(run: OrderRun) -> Stay:
        run.start(legs, f"{run.foreign_id}-leg", Order())
        return Stay()

    @orders.child(At.WAITING, legs, retry=RETRY, on_failure=on_failure)
    async def arrived(run: OrderRun, leg: Run[Order, Leg]) -> Literal[At.GATHERING]:
        calls.append("child")
        raising(run)
        return At.GATHERING

    @orders.children(At.GATHERING, legs, retry=RETRY, on_failure=on_failure)
    async def all_arrived(run: OrderRun, all_legs: Any) -> Literal[At.SENT]:
        calls.append("children")
        raising(run)
        return At.SENT

    return orders, legs


KINDS = {At.NEW: "step", At.DUE: "timeout", At.WAITING: "child", At.GATHERING: "children"}


@pytest.mark.parametrize("status", KINDS, ids=KINDS.get)
@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        ("fatal", 1, "NoCard: expired"),
        ("group", 1, "ExceptionGroup: NoCard: expired; OSError: down"),
        ("other", 3, "OSError: down"),
    ],
)
@pytest.mark.parametrize("on_failure", [None, At.LOST])
async def test_an_error_of_a_fatal_type_is_not_retried_whatever_function_raises_it(
    status: At, error: str, attempts: int, reason: str, on_failure: At | None
) -> None:
    calls = list[str]()
    orders, legs = made(calls, on_failure)
    async with WorkflowTester(orders, legs) as tester:
        handle = await tester.client(orders).trigger("1", Order(fails_with=error), start_at=status)
        await tester.advance(timedelta(hours=2))
        run, (*_, last) = await handle.get(), await handle.history()
    assert calls == [KINDS[status]] * attempts
    assert (last.cause, run.reason) == (Cause.FAILED, reason)
    if on_failure is None:
        assert (run.run_state, run.status) == (RunState.PAUSED, status)
    else:
        assert (run.run_state, run.status) == (RunState.COMPLETED, on_failure)


async def test_a_callback_that_raises_an_error_of_a_fatal_type_answers_its_caller_at_once() -> None:
    calls = list[str]()
    orders, legs = made(calls)
    async with WorkflowTester(orders, legs) as tester:
        handle = await tester.client(orders).trigger("1", Order(), start_at=At.DUE)
        with pytest.raises(CallbackFailed, match="NoCard: expired"):
            await handle.callback("paid", b'"now"')
        run = await handle.get()
    assert calls == ["callback"]
    assert (run.run_state, run.status, run.version) == (RunState.INITIATED, At.DUE, 1)


async def test_a_hook_that_raises_an_error_of_a_fatal_type_is_not_called_again() -> None:
    calls = list[str]()
    orders, legs = made(calls)

    @orders.on_pause(retry=RETRY)
    async def tell(run: OrderRun) -> None:
        calls.append("tell")
        raise NoCard("expired")

    @orders.on_pause(retry=Retry(attempts=2))
    async def warn(run: OrderRun) -> None:
        calls.append("warn")
        raise NoCard("expired")

    async with WorkflowTester(orders, legs) as tester:
        await tester.client(orders).trigger("1", Order())
        await tester.advance(HOUR)
    assert [calls.count(name) for name in ("tell", "warn")] == [1, 2]


@pytest.mark.parametrize("raises", [False, True])
async def test_a_batch_fails_for_good_those_of_its_runs_whose_error_is_of_a_fatal_type(
    raises: bool,
) -> None:
    calls = list[str]()
    orders = Workflow("orders", Order, Leg)

    @orders.batch_step(Leg.NEW, max_batch=2, retry=Retry(attempts=2, fatal=(ValueError,)))
    async def charge(runs: list[Run[Order, Leg]]) -> list[Literal[Leg.DONE] | Exception]:
        calls.extend(run.foreign_id for run in runs)
        errors = [ERRORS[run.data.fails_with]() for run in runs]
        if raises:
            raise errors[0]
        return list(errors)

    async with WorkflowTester(orders) as tester:
        client = tester.client(orders)
        handles = [
            await client.trigger(name, Order(fails_with=name)) for name in ("fatal", "other")
        ]
        await tester.advance(HOUR)
        runs = [await handle.get() for handle in handles]
    assert [run.reason for run in runs] == ["NoCard: expired", "OSError: down"]
    assert [run.attempt for run in runs] == [1, 2]
    assert calls.count("other") > calls.count("fatal") >= 1


def test_a_group_is_fatal_if_its_own_type_is() -> None:
    group = ExceptionGroup("all", [OSError("down")])
    assert failed(group, Retry(fatal=(ExceptionGroup,))).fatal
    assert not failed(group, Retry(fatal=(ValueError,))).fatal
    assert not failed(KeyboardInterrupt(), Retry(fatal=(Exception,))).fatal
