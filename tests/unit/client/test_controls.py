"""Controls: each is a version with who and why, and competes cleanly with steps."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import msgspec
import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Cause, Fatal, Handle, Pause, Retry, Run, RunState, Workflow
from workflow_ray.client.controls import Changed, Missing, apply, control
from workflow_ray.client.writer import Writer
from workflow_ray.engine.control import Action, Refused
from workflow_ray.engine.run_states import may_move
from workflow_ray.errors import ControlRefused, InvalidInput, RunNotFound, RunPaused
from workflow_ray.records import GroupResult, Record, RunId, WriteGroup, new_run_id
from workflow_ray.testing import WorkflowTester

TWICE = Retry(attempts=2, backoff=timedelta(hours=1))


class Flaky:
    """A workflow whose step does what the test sets: "fail", "pause", or else it succeeds."""

    def __init__(self, retry: Retry = TWICE) -> None:
        self.does = "fail"
        self.attempts = list[int]()
        self.workflow = parcels()

        @self.workflow.step(Stage.NEW, retry=retry)
        async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Pause:
            self.attempts.append(run.attempt)
            match self.does:
                case "fail":
                    raise Fatal("no box")
                case "fail once":
                    raise RuntimeError("no box")
                case "pause":
                    return Pause("a person must look")
                case _:
                    return Stage.DONE


async def causes(handle: Handle[Parcel, Stage]) -> list[tuple[Cause, str, str | None]]:
    return [(entry.cause, entry.by, entry.reason) for entry in await handle.history()]


async def test_a_failed_run_is_retried_with_all_attempts_and_the_history_says_by_whom() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        with pytest.raises(RunPaused, match=r"call retry\(\), or `workflow-ray runs retry`"):
            await handle.wait()
        flaky.does = "fail once"
        await handle.retry("the box is there", by="ann")
        await tester.settle()
        flaky.does = "succeed"
        await tester.advance(timedelta(hours=1))
        assert (await handle.wait()).status is Stage.DONE
        assert flaky.attempts == [0, 0, 1]
        assert [entry.cause for entry in await handle.history()] == [
            Cause.TRIGGER,
            Cause.FAILED,
            Cause.RETRIED,
            Cause.RETRY,
            Cause.STEP,
        ]
        assert (await causes(handle))[2] == (Cause.RETRIED, "ann", "the box is there")


async def test_a_failed_run_may_be_resumed_too() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        await tester.settle()
        flaky.does = "succeed"
        run = await handle.resume()
        assert (run.attempt, run.run_state) == (0, RunState.RUNNING)
        assert (await handle.wait()).status is Stage.DONE


async def test_a_run_that_waits_for_its_next_attempt_is_tried_at_once_and_once_only() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        flaky.does = "fail once"
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        await tester.settle()
        flaky.does = "succeed"
        await handle.retry()
        assert (await handle.wait()).status is Stage.DONE
        await tester.advance(timedelta(hours=2))
        assert flaky.attempts == [0, 0]


async def test_a_paused_run_takes_no_step_until_it_is_resumed_and_keeps_its_attempts() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        flaky.does = "fail once"
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        await tester.settle()
        paused = await handle.pause("held by support", by="ann")
        assert (paused.run_state, paused.reason, paused.attempt) == (
            RunState.PAUSED,
            "held by support",
            1,
        )
        await tester.advance(timedelta(hours=2))
        flaky.does = "succeed"
        assert flaky.attempts == [0]
        await handle.resume(by="bob")
        assert (await handle.wait()).status is Stage.DONE
        assert flaky.attempts == [0, 1]
        assert (await causes(handle))[2:4] == [
            (Cause.PAUSE, "ann", "held by support"),
            (Cause.RESUMED, "bob", None),
        ]


async def test_a_run_that_its_step_has_paused_is_resumed() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        flaky.does = "pause"
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        await tester.settle()
        with pytest.raises(ControlRefused, match="retry is refused: it was paused by no error"):
            await handle.retry()
        flaky.does = "succeed"
        await handle.resume()
        assert (await handle.wait()).status is Stage.DONE


async def test_a_cancelled_run_has_ended_and_its_foreign_id_is_free() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        client = tester.client(flaky.workflow)
        handle = await client.trigger("1", Parcel())
        await tester.settle()
        run = await handle.cancel("not wanted", by="ann")
        assert (run.run_state, run.reason) == (RunState.CANCELLED, "not wanted")
        assert (await handle.wait()).version == run.version
        assert (await client.trigger("1", Parcel())).run_id != handle.run_id


async def test_a_control_that_changes_nothing_writes_no_version() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        flaky.does = "pause"
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        await tester.settle()
        acts: list[Callable[[], Awaitable[Run[Parcel, Stage]]]] = [
            partial(handle.pause, "x"),
            handle.resume,
            partial(handle.cancel, "x"),
        ]
        for act in acts:
            await act()
            version = (await handle.get()).version
            assert (await act()).version == version


async def test_a_finished_run_allows_no_control() -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        flaky.does = "succeed"
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        version = (await handle.wait()).version
        for refused in (handle.pause("x"), handle.resume(), handle.retry(), handle.cancel("x")):
            with pytest.raises(
                ControlRefused, match=f"run {handle.run_id}: .* is refused: it is COMPLETED"
            ):
                await refused
        assert (await handle.get()).version == version


async def test_a_run_without_a_failed_attempt_is_not_retried() -> None:
    workflow = Flaky().workflow
    async with Bench(workflow) as bench:
        handle = (await triggered(bench, workflow, "1"))["1"]
        with pytest.raises(ControlRefused, match="it is INITIATED, and no attempt has failed"):
            await handle.retry()


async def test_a_control_of_a_run_that_does_not_exist_is_refused() -> None:
    workflow = Flaky().workflow
    async with WorkflowTester(workflow) as tester:
        with pytest.raises(RunNotFound):
            await tester.client(workflow).handle(new_run_id()).pause("x")


@pytest.mark.parametrize(
    ("reason", "by", "what"),
    [
        ("", "ann", "reason"),
        (" ", "ann", "reason"),
        (7, "ann", "reason"),
        ("x", "", "by"),
        ("x", None, "by"),
        ("x", "a" * 256, "by"),
        ("x", "\0", "by"),
    ],
)
async def test_who_and_why_are_checked_before_anything_is_written(
    reason: object, by: object, what: str
) -> None:
    flaky = Flaky()
    async with WorkflowTester(flaky.workflow) as tester:
        handle = await tester.client(flaky.workflow).trigger("1", Parcel())
        await tester.settle()
        version = (await handle.get()).version
        with pytest.raises(InvalidInput, match=f"^{what}: "):
            await handle.cancel(cast(str, reason), by=cast(str, by))
        assert (await handle.get()).version == version


# --- races with steps ---------------------------------------------------------------------------


class Gated:
    """A workflow whose step waits for its gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.started = asyncio.Event()
        self.times = 0
        self.workflow: Parcels = parcels()

        @self.workflow.step(Stage.NEW)
        async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
            self.times += 1
            self.started.set()
            await self.gate.wait()
            return Stage.DONE


async def test_the_result_of_a_step_overtaken_by_a_pause_is_dropped_and_the_step_runs_again() -> (
    None
):
    gated = Gated()
    async with WorkflowTester(gated.workflow) as tester:
        handle = await tester.client(gated.workflow).trigger("1", Parcel())
        await gated.started.wait()
        await handle.pause("wait")
        gated.gate.set()
        await tester.settle()
        assert (await handle.get()).run_state is RunState.PAUSED
        assert gated.times == 1
        await handle.resume()
        assert (await handle.wait()).status is Stage.DONE
        assert gated.times == 2


async def test_a_control_that_a_step_has_overtaken_is_decided_again() -> None:
    gated = Gated()
    async with WorkflowTester(gated.workflow) as tester:
        handle = await tester.client(gated.workflow).trigger("1", Parcel())
        await gated.started.wait()
        records = handle._records  # pyright: ignore[reportPrivateUsage]  # the step must end between the read and the write
        store = records.store

        async def late(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            if not gated.gate.is_set() and groups[0].fence is None:
                gated.gate.set()
                await handle.wait()
            return await store(groups)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(records, "store", late)
            with pytest.raises(ControlRefused, match="it is COMPLETED"):
                await handle.pause("too late")
        assert [entry.cause for entry in await handle.history()] == [Cause.TRIGGER, Cause.STEP]


async def test_many_runs_are_controlled_by_one_call_to_the_store_for_each_batch() -> None:
    workflow = Flaky().workflow
    async with Bench(workflow) as bench:
        handles = await triggered(bench, workflow, *map(str, range(600)))
        found = await all_of(bench, [handle.run_id for handle in handles.values()])
        await next(iter(handles.values())).cancel("first")
        calls = 0
        store = bench.store.store

        async def counted(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            nonlocal calls
            calls += 1
            return await store(groups)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(bench.store, "store", counted)
            writer = Writer(bench.store)
            asked = control(Action.PAUSE, "ann", "all")
            outcomes = await apply(writer, asked, [*found, gone(found[0])], {})
        assert calls == 2
        kinds = [type(outcome) for outcome in outcomes.values()]
        assert (kinds.count(Changed), kinds.count(Refused), kinds.count(Missing)) == (599, 1, 1)


async def all_of(bench: Bench, run_ids: Sequence[RunId]) -> list[Record]:
    return [record for record in await bench.store.lookup(run_ids) if record is not None]


def gone(record: Record) -> Record:
    """Make the record of a run that the store does not have."""
    return msgspec.structs.replace(record, run_id=new_run_id())


async def test_random_controls_among_steps_keep_every_run_consistent() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    workflow = Workflow("parcels", Parcel, Stage)

    @workflow.step(Stage.NEW, retry=Retry(attempts=2, backoff=timedelta(milliseconds=1)))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Pause:
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            raise RuntimeError("no box")
        return Pause("look") if chance.random() < 0.2 else Stage.DONE

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        handles = [await client.trigger(str(number), Parcel()) for number in range(30)]

        async def operate() -> None:
            for _ in range(100):
                handle = chance.choice(handles)
                acts = (
                    handle.resume,
                    handle.retry,
                    partial(handle.pause, "x"),
                    partial(handle.cancel, "x"),
                )
                (act,) = chance.choices(acts, weights=(4, 4, 4, 1))
                with suppress(ControlRefused):
                    await act()
                await asyncio.sleep(0)

        await asyncio.gather(*(operate() for _ in range(3)), tester.advance(timedelta(seconds=1)))
        while unfinished := [
            handle for handle in handles if not (await handle.get()).run_state.finished
        ]:
            for handle in unfinished:
                await handle.resume()
            await tester.advance(timedelta(seconds=1))
        for handle in handles:
            entries = await handle.history()
            assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
            for before, after in pairwise(entries):
                assert may_move(before.run_state, after.run_state), (seed, before, after)
            assert sum(entry.status is Stage.DONE for entry in entries) == (
                entries[-1].run_state is RunState.COMPLETED
            )
