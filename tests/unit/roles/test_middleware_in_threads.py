"""Middleware runs around functions in threads and in time limits, and with what these use."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Stage
from tests.unit.roles.layers import TENANT, Noting, packing, run_of, run_of_paused
from tests.unit.wrappers import plain_wrapper, to_an_awaitable
from workflow_ray import (
    FunctionCall,
    Proceed,
    Retry,
    RunState,
    resource,
)


async def setting(call: FunctionCall, proceed: Proceed) -> object:
    token = TENANT.set(f"tenant of {call.run.foreign_id if call.run is not None else call.kind}")
    try:
        return await proceed()
    finally:
        TENANT.reset(token)


@pytest.mark.parametrize("is_async", [True, False])
async def test_context_variables_that_it_sets_reach_the_function(is_async: bool) -> None:
    seen = list[tuple[str, bool]]()

    def look() -> None:
        seen.append((TENANT.get(), threading.current_thread() is threading.main_thread()))

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        look()
        return Stage.DONE

    def pack_plainly(run: ParcelRun) -> Literal[Stage.DONE]:
        look()
        return Stage.DONE

    workflow = packing(setting, step=pack if is_async else pack_plainly)

    @workflow.schedule("hourly", every=timedelta(hours=1))
    def hourly(tick: datetime) -> None:
        look()

    await run_of(workflow)
    assert seen == [("tenant of 1", is_async), ("tenant of schedule", False)]
    assert TENANT.get() == "none"


@pytest.mark.parametrize("wrap", [plain_wrapper, to_an_awaitable])
async def test_a_plain_wrapper_of_an_async_function_is_awaited_inside(
    wrap: Callable[..., Any],
) -> None:
    noting = Noting()

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await asyncio.sleep(0)
        return Stage.DONE

    assert (await run_of(packing(noting, step=wrap(pack)))).status is Stage.DONE
    assert noting.ends == [Stage.DONE]


async def test_an_error_of_a_plain_function_passes_through_it() -> None:
    noting = Noting()

    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("broken")

    run = await run_of_paused(packing(noting, step=pack, retry=Retry(attempts=1)))
    assert str(noting.ends) == "[ValueError('broken')]"
    assert "broken" in (run.reason or "")


async def test_a_plain_function_that_raises_no_exception_fails_its_attempt_alone() -> None:
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise SystemExit(3)

    run = await run_of_paused(packing(Noting(), step=pack, retry=Retry(attempts=1)))
    assert "SystemExit" in (run.reason or "")


async def test_the_time_limit_of_the_function_holds_for_it() -> None:
    async def slow(call: FunctionCall, proceed: Proceed) -> object:
        await asyncio.Event().wait()
        return await proceed()

    workflow = packing(slow, timeout=5, retry=Retry(attempts=1))
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        handle = await bench.client(workflow).trigger("1", Parcel())
        await bench.pass_time(4)
        assert (await handle.get()).run_state is RunState.INITIATED
        await bench.pass_time(2)
        run = await handle.get()
    assert run.run_state is RunState.PAUSED
    assert "5 s" in (run.reason or "")


@resource
async def printer() -> AsyncIterator[str]:
    yield "printer"


async def test_resources_reach_the_function() -> None:
    noting, used = Noting(), list[str]()

    async def pack(run: ParcelRun, by: str = printer.value) -> Literal[Stage.DONE]:
        used.append(by)
        return Stage.DONE

    await run_of(packing(noting, step=pack), resources={printer: "fake"})
    assert used == ["fake"]


async def test_once_and_children_work_inside_of_it() -> None:
    charges = list[int]()

    async def charge() -> str:
        charges.append(1)
        return "receipt"

    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        run.data.label = await run.once("charge", charge)
        if run.attempt == 0:
            raise ValueError("after the charge")
        return Stage.DONE

    run = await run_of(packing(Noting(), step=pack, retry=Retry(attempts=2)))
    assert (run.data.label, charges) == ("receipt", [1])
