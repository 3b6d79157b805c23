"""The role that retries runs which an error has paused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Literal

import pytest

from tests.unit.bench import AtWork, Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Stage
from workflow_ray import Pause, Retry, RunState, Workflow
from workflow_ray.errors import RoleLost
from workflow_ray.records import Cause, Role, RoleName, paused_retry_group
from workflow_ray.roles import paused_retry
from workflow_ray.testing import WorkflowTester

FIRST = 600.0
GROUP = paused_retry_group("parcels")
ROLE = RoleName(f"{GROUP}-1-of-1")
ONCE = Retry(attempts=1)


class Depot:
    """Decides which runs fail."""

    def __init__(self) -> None:
        self.closed_for: set[str] = set()
        self.calls: list[str] = []
        self.workflow = Workflow("parcels", Parcel, Stage, retry_paused=timedelta(seconds=FIRST))

        @self.workflow.step(Stage.NEW, retry=ONCE)
        async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Pause:
            self.calls.append(run.foreign_id)
            if run.foreign_id.startswith("halt"):
                return Pause("a person must look at this one")
            if run.foreign_id in self.closed_for:
                raise OSError("the depot is closed")
            return Stage.DONE


@pytest.fixture
def depot() -> Depot:
    return Depot()


@pytest.fixture
async def bench(depot: Depot) -> AsyncIterator[Bench]:
    async with Bench(depot.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        yield bench


async def retrying(bench: Bench) -> AtWork:
    return await bench.start(Role(GROUP))


async def test_a_run_is_retried_so_long_after_the_pause_and_then_after_twice_as_long(
    depot: Depot, bench: Bench
) -> None:
    depot.closed_for = {"bad"}
    role = await retrying(bench)
    await bench.pass_time(7)
    handle = (await triggered(bench, depot.workflow, "bad"))["bad"]
    await bench.pass_time(FIRST - 1)
    assert len(depot.calls) == 1
    await bench.pass_time(14 * FIRST)
    assert len(depot.calls) == 4
    depot.closed_for = set()
    await bench.pass_time(2 * FIRST)
    assert (await handle.get()).run_state is RunState.COMPLETED
    history = await handle.history()
    retries = [pair for pair in pairwise(history) if pair[1].cause is Cause.RETRIED]
    assert len(retries) == 4
    for number, (paused, retried) in enumerate(retries):
        assert (retried.at - paused.at).total_seconds() == FIRST * 2**number
        assert (paused.cause, retried.by) == (Cause.FAILED, ROLE)
        assert retried.reason == f"an error had paused it; retry {number + 1} in a row"
    await role.leave()


async def test_runs_that_a_step_or_an_operator_has_paused_stay_so(depot: Depot) -> None:
    async with Bench(depot.workflow) as bench:
        await retrying(bench)
        runs = await triggered(bench, depot.workflow, "halt", "held")
        await runs["held"].pause("held by support", by="ann")
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.pass_time(8 * FIRST)
        assert depot.calls == ["halt"]
        assert [(await handle.get()).version for handle in runs.values()] == [2, 2]


async def test_an_operator_who_lets_the_run_go_on_begins_the_count_again(
    depot: Depot, bench: Bench
) -> None:
    depot.closed_for = {"bad"}
    await retrying(bench)
    handle = (await triggered(bench, depot.workflow, "bad"))["bad"]
    await bench.pass_time(8 * FIRST)
    calls = len(depot.calls)
    await handle.retry()
    await bench.pass_time(FIRST - 1)
    assert len(depot.calls) == calls + 1
    await bench.pass_time(1)
    assert len(depot.calls) == calls + 2


async def test_a_new_holder_goes_on_where_the_last_one_died(depot: Depot, bench: Bench) -> None:
    depot.closed_for = {"bad"}
    role = await retrying(bench)
    handle = (await triggered(bench, depot.workflow, "bad"))["bad"]
    await bench.pass_time(4 * FIRST)
    assert len(depot.calls) == 3
    await role.kill()
    await retrying(bench)
    await bench.pass_time(3 * FIRST - 1)
    assert len(depot.calls) == 3
    await bench.pass_time(1)
    assert len(depot.calls) == 4
    assert await bench.causes(handle.run_id) == [
        Cause.TRIGGER,
        Cause.FAILED,
        *[Cause.RETRIED, Cause.FAILED] * 3,
    ]


async def test_many_runs_are_retried_in_batches_and_each_once(
    depot: Depot, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused_retry, "BATCH", 7)
    names = [str(number) for number in range(40)]
    depot.closed_for = set(names)
    runs = await triggered(bench, depot.workflow, *names)
    await bench.pass_time(1)
    depot.closed_for = set()
    await retrying(bench)
    await bench.pass_time(FIRST)
    assert sorted(depot.calls) == sorted(2 * names)
    for handle in runs.values():
        assert await bench.causes(handle.run_id) == [
            Cause.TRIGGER,
            Cause.FAILED,
            Cause.RETRIED,
            Cause.STEP,
        ]


async def test_a_long_history_is_read_back_in_parts_and_once_for_each_pause(
    depot: Depot, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused_retry, "ENTRIES", 3)
    depot.closed_for = {"bad"}
    await retrying(bench)
    await triggered(bench, depot.workflow, "bad")
    await bench.pass_time(16 * FIRST)  # after 1, 3, 7 and 15 times as long
    assert len(depot.calls) == 5
    reads = list[object]()
    read = bench.store.history

    async def counted(*arguments: object, **options: object) -> object:
        reads.append(options)
        return await read(*arguments, **options)  # type: ignore[arg-type]  # they are what the role gives

    monkeypatch.setattr(bench.store, "history", counted)
    await bench.pass_time(14 * FIRST)
    assert len(depot.calls) == 5
    assert reads == []
    await bench.pass_time(2 * FIRST)
    assert len(depot.calls) == 6


async def test_an_idle_role_notices_that_it_has_a_newer_holder(depot: Depot, bench: Bench) -> None:
    role = await retrying(bench)
    await bench.store.acquire(Role(GROUP))
    await bench.pass_time(2 * paused_retry.CHECK + paused_retry.MOST)
    with pytest.raises(RoleLost):
        await role.task


async def test_in_a_test_the_retry_is_due_at_its_time(depot: Depot) -> None:
    depot.closed_for = {"bad"}
    async with WorkflowTester(depot.workflow) as tester:
        handle = await tester.client(depot.workflow).trigger("bad", Parcel())
        await tester.settle()
        assert tester.due() == [
            "parcels 'bad' at NEW, the retry of the paused run at 2030-01-01 00:10:00 (in 600 s)"
        ]
        await tester.advance(FIRST - 1)
        assert len(depot.calls) == 1
        await tester.advance(1)
        assert len(depot.calls) == 2
        depot.closed_for = set()
        await tester.advance(timedelta(days=1))
        run, history = await handle.get(), await handle.history()
    assert run.run_state is RunState.COMPLETED
    assert [entry.at - history[0].at for entry in history if entry.cause is Cause.RETRIED] == [
        timedelta(seconds=FIRST),
        timedelta(seconds=3 * FIRST),
    ]
