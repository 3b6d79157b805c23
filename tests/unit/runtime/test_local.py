"""The local runtime, whose roles are tasks of this process."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, packing, parcels
from tests.unit.runtime.gated import Gated
from workflow_ray import (
    Cause,
    Handle,
    Repeat,
    Run,
    RunState,
    Runtime,
    Status,
    Trigger,
    Workflow,
    connect,
    resource,
)
from workflow_ray.errors import (
    InvalidDefinition,
    InvalidInput,
    RuntimeUnavailable,
    StatusRenumbered,
    StoreInUse,
    StoreMissing,
    UnknownScheme,
    UnknownWorkflow,
)
from workflow_ray.ports import SystemClock, records_adapter
from workflow_ray.roles import steps
from workflow_ray.runtime import local

SOON = timedelta(seconds=20)


async def test_runs_go_through_a_workflow_made_in_a_function(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url) as runtime:
        answers = await runtime.client(workflow).trigger_many(
            Trigger(f"{n}", Parcel()) for n in range(50)
        )
        for handle, _ in answers:
            run = await handle.wait(timeout=SOON)
            assert (run.status, run.run_state, run.version) == (Stage.DONE, RunState.COMPLETED, 2)


async def test_what_was_triggered_while_nothing_ran_is_done_by_the_next_runtime(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url):
        pass
    async with connect(workflow, records=url) as client:
        run_id = (await client.trigger("1", Parcel())).run_id
    async with Runtime.local(workflow, records=url) as runtime:
        assert (
            await runtime.client(workflow).handle(run_id).wait(timeout=SOON)
        ).status is Stage.DONE


@pytest.mark.parametrize("spinning", [1, 20])
async def test_runs_that_repeat_without_delay_do_not_hold_up_triggers(
    url: str, spinning: int
) -> None:
    workflow, repeats = parcels(), list[str]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Repeat:
        if run.foreign_id.startswith("spins"):
            repeats.append(run.foreign_id)
            return Repeat()
        return Stage.DONE

    async with Runtime.local(workflow, records=url) as runtime:
        client = runtime.client(workflow)
        for number in range(spinning):
            await client.trigger(f"spins {number}", Parcel())
        while len(repeats) < 10 * spinning:
            await asyncio.sleep(0.001)
        before = len(repeats)
        handles = [await client.trigger(f"{number}", Parcel()) for number in range(20)]
        # each waits for the transaction that runs, and its own
        assert len(repeats) - before < 20 * 5 * spinning
        for handle in handles:
            assert (await handle.wait(timeout=SOON)).status is Stage.DONE


async def test_a_step_cut_off_at_the_end_is_run_again_by_the_next_runtime(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow, begun = parcels(), asyncio.Event()
    monkeypatch.setattr(local, "STOPPING", 0.0)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return Stage.DONE

    async with Runtime.local(workflow, records=url) as runtime:
        run_id = (await runtime.client(workflow).trigger("1", Parcel())).run_id
        await begun.wait()
    async with Runtime.local(workflow, records=url) as runtime:
        handle = runtime.client(workflow).handle(run_id)
        await handle.wait(timeout=SOON)
        assert [entry.cause for entry in await handle.history()] == [Cause.TRIGGER, Cause.STEP]


async def test_leaving_finishes_what_is_in_hand(url: str) -> None:
    workflow, begun, gate = parcels(), asyncio.Event(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.set()
        await gate.wait()
        return Stage.DONE

    async with Runtime.local(workflow, records=url) as runtime:
        run_id = (await runtime.client(workflow).trigger("1", Parcel())).run_id
        await begun.wait()
        gate.set()
    async with connect(workflow, records=url) as client:
        assert (await client.get(run_id)).status is Stage.DONE


class Renumbered(Status):
    NEW = 1
    DONE = 3


async def swallow_cancellations(gate: threading.Event) -> None:
    while not gate.is_set():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_plain", [False, True], ids=["an async step", "a plain step"])
async def test_a_step_that_does_not_end_does_not_keep_the_runtime_from_ending(
    url: str, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STOPPING", 0.1)
    monkeypatch.setattr(steps, "CANCELLING", 0.1)
    workflow, begun, gate = parcels(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def hang(run: ParcelRun) -> Literal[Stage.DONE]:
        begun.set()
        await swallow_cancellations(gate)
        return Stage.DONE

    def hang_in_a_thread(run: ParcelRun) -> Literal[Stage.DONE]:
        loop.call_soon_threadsafe(begun.set)
        gate.wait()
        return Stage.DONE

    workflow.step(Stage.NEW)(hang_in_a_thread if is_plain else hang)
    runtime = Runtime.local(workflow, records=url)
    try:
        async with asyncio.timeout(20):
            async with runtime:
                handle = await runtime.client(workflow).trigger("1", Parcel())
                await begun.wait()
    finally:
        gate.set()
    async with connect(workflow, records=url) as client:
        assert [entry.cause for entry in await client.handle(handle.run_id).history()] == [
            Cause.TRIGGER
        ]


async def test_a_renumbered_status_is_refused_and_the_store_is_left_as_it_was(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url):
        pass
    renumbered = Workflow("parcels", Parcel, Renumbered)

    @renumbered.step(Renumbered.NEW)
    async def pack(run: Run[Parcel, Renumbered]) -> Literal[Renumbered.DONE]:
        return Renumbered.DONE

    with pytest.raises(StatusRenumbered, match=r"parcels\.DONE is 3 in the code and 2"):
        await Runtime.local(renumbered, records=url, replace=True).__aenter__()
    async with Runtime.local(workflow, records=url) as runtime:
        assert (
            await (await runtime.client(workflow).trigger("1", Parcel())).wait(timeout=SOON)
        ).status is Stage.DONE


async def test_mistakes_of_a_definition_are_raised_before_a_store_is_made(url: str) -> None:
    with pytest.raises(InvalidDefinition):
        await Runtime.local(parcels(), records=url).__aenter__()
    with pytest.raises(StoreMissing):
        await records_adapter(url).open_records(url, clock=SystemClock()).__aenter__()


async def test_a_store_has_one_runtime_at_a_time(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url):
        with pytest.raises(StoreInUse):
            async with records_adapter(url).open_records(url, clock=SystemClock(), patience=0):
                pass


async def test_a_url_of_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(
        UnknownScheme, match=r"no adapter for 'oracle'\. Known, .*kafka \[kafka\].*sqlite"
    ):
        await Runtime.local(packing(), records="oracle://shop").__aenter__()


async def test_a_runtime_has_clients_of_its_own_workflows_only(url: str) -> None:
    async with Runtime.local(packing(), records=url) as runtime:
        with pytest.raises(UnknownWorkflow):
            runtime.client(packing())


@pytest.mark.parametrize("made", [Runtime.local, Runtime.ray])
async def test_a_runtime_that_was_not_entered_says_so(
    url: str, made: Callable[..., Runtime]
) -> None:
    workflow = packing()
    runtime = made(workflow, records=url)

    async def client() -> None:
        runtime.client(workflow)

    for call in (
        client(),
        runtime.scale(workflow, Stage.NEW, shards=1),
        runtime.undeploy("parcels"),
        runtime.serve(),
    ):
        with pytest.raises(
            RuntimeUnavailable, match=r"it isn't running; use it inside of `async with runtime:`"
        ):
            await call


async def test_a_runtime_that_was_left_says_so(url: str) -> None:
    async with Runtime.local(packing(), records=url) as runtime:
        pass
    with pytest.raises(RuntimeUnavailable, match="it isn't running"):
        _ = runtime.store


async def test_several_workflows_share_one_store(url: str) -> None:
    first, second = packing(), Workflow("others", Parcel, Stage)

    @second.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    async def ended(runtime: Runtime, workflow: Parcels) -> Handle[Parcel, Stage]:
        handle = await runtime.client(workflow).trigger("1", Parcel())
        await handle.wait(timeout=SOON)
        return handle

    async with Runtime.local(first, second, records=url) as runtime:
        of_first, of_second = await asyncio.gather(ended(runtime, first), ended(runtime, second))
    assert of_first.run_id != of_second.run_id


openings: list[str] = []


@resource
async def reluctant() -> AsyncIterator[str]:
    openings.append("tried")
    if len(openings) == 1:
        raise OSError("not yet")
    yield "open"


async def test_a_role_that_crashes_is_started_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = parcels()
    openings.clear()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, by: str = reluctant.value) -> Literal[Stage.DONE]:
        run.data.label = by
        return Stage.DONE

    with caplog.at_level(logging.ERROR):
        async with Runtime.local(workflow, records=url) as runtime:
            run = await (await runtime.client(workflow).trigger("1", Parcel())).wait(timeout=SOON)
    assert run.data.label == "open"
    assert "role parcels-1-consumer-1-of-1 crashed; starting it again" in caplog.text


async def test_a_runtime_that_runs_is_not_entered_again_and_goes_on(url: str) -> None:
    workflow = packing()
    async with Runtime.local(workflow, records=url) as runtime:
        with pytest.raises(
            RuntimeUnavailable, match="it runs already; leave it first, or make another one"
        ):
            await runtime.__aenter__()
        handle = await runtime.client(workflow).trigger("1", Parcel())
        assert (await handle.wait(timeout=SOON)).status is Stage.DONE
    async with runtime:
        assert (await runtime.client(workflow).handle(handle.run_id).get()).status is Stage.DONE


async def test_a_client_is_used_by_other_threads_event_loops_too(url: str) -> None:
    workflow = Gated()
    async with (
        Runtime.local(workflow.workflow, records=url) as runtime,
        connect(workflow.workflow, records=url) as connected,
    ):
        for client in (runtime.client(workflow.workflow), connected):
            workflow.gate.clear()
            handle = await client.trigger("1", Parcel(), if_active="join")

            async def wait(handle: Handle[Parcel, Stage] = handle) -> Stage:
                return (await handle.wait(timeout=SOON)).status

            waiting = [
                asyncio.create_task(wait()),
                *(asyncio.create_task(asyncio.to_thread(asyncio.run, wait())) for _ in range(3)),
            ]
            await asyncio.sleep(0.1)  # they wait together
            workflow.gate.set()
            assert await asyncio.gather(*waiting) == [Stage.DONE] * 4


async def test_records_may_be_the_path_of_a_file(tmp_path: Path) -> None:
    workflow = packing()
    path = tmp_path / "shop.db"
    async with (
        Runtime.local(workflow, records=path) as runtime,
        connect(workflow, records=path) as client,
    ):
        handle = await client.trigger("1", Parcel())
        assert (
            await runtime.client(workflow).handle(handle.run_id).wait(timeout=SOON)
        ).status is Stage.DONE
    assert path.exists()


@pytest.mark.parametrize(
    ("workflows", "why"),
    [([packing()], "not a list"), ("orders", "not a str"), (None, "not a NoneType")],
)
def test_only_workflows_are_run(workflows: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=f"^workflows: hand in one after the other, .*{why}"):
        Runtime.local(workflows)


def test_records_that_are_neither_url_nor_path_are_refused() -> None:
    records: Any = 7
    with pytest.raises(
        InvalidInput, match=r"^records: give a URL, or the path of a SQLite file, not int"
    ):
        Runtime.local(packing(), records=records)
