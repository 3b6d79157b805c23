"""The part of the data role that removes old runs, their histories and their keys."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage
from tests.unit.roles.deleting import GROUP, data_role
from workflow_ray import Retention, RunState, TriggerOutcome, Workflow, resource
from workflow_ray.engine.next_version import Next
from workflow_ray.errors import RoleLost, RunNotFound
from workflow_ray.records import (
    Cause,
    Committed,
    GroupResult,
    Record,
    Role,
    RunId,
    RunQuery,
    WriteGroup,
    new_write_id,
)
from workflow_ray.roles import retention as retaining
from workflow_ray.testing import FakeClock

HOUR, DAY = 3600.0, 86_400.0
ALL = RunQuery(workflow="parcels", limit=10_000)


def parcels_kept(retention: Retention) -> Parcels:
    workflow = Workflow("parcels", Parcel, Stage, retention=retention)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    return workflow


async def pass_long(bench: Bench, seconds: float) -> None:
    """Let much time pass at once. Waits that end in between end late."""
    bench.clock.jump(bench.clock.now() + timedelta(seconds=seconds))
    await bench.pass_time(1)


async def states(bench: Bench) -> dict[str, RunState]:
    return {record.foreign_id: record.run_state for record in await bench.store.runs(ALL)}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Completed runs are kept for 10 days, cancelled ones for one, and all others for good."""
    kept = Retention(completed=timedelta(days=10), cancelled=timedelta(days=1))
    async with Bench(parcels_kept(kept)) as bench:
        yield bench


async def test_runs_of_each_state_are_removed_after_their_age(bench: Bench) -> None:
    handles = await triggered(bench, bench.workflow, "completed", "cancelled", "paused", "running")
    await handles["cancelled"].cancel("a test")
    await handles["paused"].pause("a test")
    await complete(bench, handles["completed"].run_id)
    await data_role(bench)
    await pass_long(bench, DAY - HOUR)
    assert len(await states(bench)) == 4
    await pass_long(bench, 4 * HOUR)
    assert set(await states(bench)) == {"completed", "paused", "running"}
    await pass_long(bench, 11 * DAY)
    assert set(await states(bench)) == {"paused", "running"}
    with pytest.raises(RunNotFound):
        await handles["completed"].get()
    assert await bench.store.history(handles["completed"].run_id) == []


async def test_a_run_that_ends_late_is_removed_its_age_after_its_end(bench: Bench) -> None:
    await data_role(bench)
    handles = await triggered(bench, bench.workflow, "early", "late")
    await handles["early"].cancel("a test")
    await pass_long(bench, 5 * DAY)
    await triggered(bench, bench.workflow, "newer")
    assert set(await states(bench)) == {"late", "newer"}
    await handles["late"].cancel("a test")
    await pass_long(bench, 0.9 * DAY)
    assert "late" in await states(bench)
    await pass_long(bench, 0.3 * DAY)
    assert set(await states(bench)) == {"newer"}


async def test_it_removes_few_at_a_time_and_pauses_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(retaining, "PAGE", 20)
    monkeypatch.setattr(retaining, "BATCH", 10)
    handles = await triggered(bench, bench.workflow, *map(str, range(45)))
    for handle in handles.values():
        await handle.cancel("a test")
    removed: list[int] = []
    store = bench.store.store

    async def noted(groups: Sequence[WriteGroup]) -> list[GroupResult]:
        removed.extend(len(each.runs) for group in groups for each in group.removals)
        return await store(groups)

    bench.store.store = noted  # type: ignore[method-assign]  # of this one store
    await pass_long(bench, 2 * DAY)
    await data_role(bench)
    await bench.pass_time()
    assert removed == [10]
    await bench.pass_time(0.5)
    assert removed == [10, 10, 10, 10, 5]
    assert not await states(bench)
    assert "parcels: retention has removed 45 cancelled runs" in caplog.text
    assert bench.in_flight.removed(Role(GROUP).name) == {"cancelled": 45}


async def test_what_a_killed_role_has_left_is_removed_by_the_next_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retaining, "BATCH", 10)
    handles = await triggered(bench, bench.workflow, *map(str, range(45)))
    for handle in handles.values():
        await handle.cancel("a test")
    await pass_long(bench, 2 * DAY)
    role = await data_role(bench)
    await bench.pass_time()
    await role.kill()
    left = set(await states(bench))
    assert len(left) == 35
    for name, handle in handles.items():  # each is whole, or gone
        assert len(await bench.store.history(handle.run_id)) == (2 if name in left else 0)
    await data_role(bench)
    await bench.pass_time(5)
    assert not await states(bench)


async def test_a_role_with_a_newer_holder_removes_nothing(bench: Bench) -> None:
    handles = await triggered(bench, bench.workflow, "1")
    await handles["1"].cancel("a test")
    role = await data_role(bench)
    await bench.store.acquire(Role(GROUP))
    await pass_long(bench, 3 * DAY)
    with pytest.raises(RoleLost):
        await role.task
    assert set(await states(bench)) == {"1"}


async def test_an_idle_role_seldom_asks_the_store(bench: Bench) -> None:
    await triggered(bench, bench.workflow, *map(str, range(10)))
    calls = 0
    runs = bench.store.runs

    async def counted(query: RunQuery) -> list[Record]:
        nonlocal calls
        calls += 1
        return await runs(query)

    bench.store.runs = counted  # type: ignore[method-assign]  # of this one store
    await data_role(bench)
    for _ in range(24):
        await pass_long(bench, HOUR)
    assert calls <= 24


async def test_the_history_of_finished_runs_is_removed_but_for_the_newest_version() -> None:
    workflow = parcels_kept(Retention(history=timedelta(days=2)))
    async with Bench(workflow) as bench:
        await data_role(bench)
        handles = await triggered(bench, workflow, "finished", "paused")
        for handle in handles.values():
            await handle.pause("a test")
        await handles["finished"].cancel("a test")
        await pass_long(bench, 1.9 * DAY)
        assert len(await handles["finished"].history()) == 3
        await pass_long(bench, DAY)
        (newest,) = await handles["finished"].history()
        assert (newest.version, newest.cause) == (3, Cause.CANCEL)
        assert (await handles["finished"].get()).data == Parcel()
        assert len(await handles["paused"].history()) == 2


async def test_the_data_of_the_version_that_is_left_can_be_read_and_forked() -> None:
    """It is from a version that was removed."""
    workflow = parcels_kept(Retention(history=timedelta(days=2)))
    async with Bench(workflow) as bench:
        role = await data_role(bench)
        client, data = bench.client(workflow), Parcel(weight=3)
        handle = await client.trigger("p-1", data)
        await handle.pause("a test")
        await handle.cancel("a test")
        await pass_long(bench, 3 * DAY)
        await role.leave()
        await handle.delete_data()  # nobody does it yet, but it is one more version
        assert [entry.data for entry in await bench.store.history(handle.run_id)] == [None, None]
        assert [entry.data for entry in await handle.history()] == [data, None]
        fork = await handle.fork(3, foreign_id="p-2")
        assert (await fork.get()).data == data


async def test_an_answer_whose_version_was_removed_is_the_run_as_it_stands() -> None:
    workflow = Workflow("parcels", Parcel, Stage, retention=Retention(history=timedelta(days=1)))

    @workflow.callback(Stage.NEW)
    async def sent(run: ParcelRun, address: str) -> Literal[Stage.DONE]:
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await data_role(bench)
        handle = (await triggered(bench, workflow, "p-1"))["p-1"]
        run = await handle.callback(sent, "here", idempotency_key="k")
        await handle.delete_data()
        await bench.pass_time(1)
        await pass_long(bench, 3 * DAY)
        assert len(await handle.history()) == 1
        again = await handle.callback(sent, "here", idempotency_key="k")
        assert again.version > run.version
        assert again.run_state is RunState.DATA_DELETED


async def test_a_key_outlives_its_run_and_is_forgotten_after_its_age() -> None:
    kept = Retention(cancelled=timedelta(days=1), keys=timedelta(days=10))
    workflow = parcels_kept(kept)
    # run ids have the time of this machine, and a key's age is that of its run id
    async with Bench(workflow, clock=FakeClock(datetime.now(UTC))) as bench:
        await data_role(bench)
        client = bench.client(workflow)
        first = await client.trigger("p-1", Parcel(), idempotency_key="k")
        lasting = await client.trigger("p-2", Parcel(), idempotency_key="of one that is kept")
        await first.cancel("a test")
        await pass_long(bench, 5 * DAY)
        again = await client.trigger("p-1", Parcel(), idempotency_key="k")
        assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)
        with pytest.raises(RunNotFound):
            await again.get()
        await pass_long(bench, 10 * DAY)
        new = await client.trigger("p-1", Parcel(), idempotency_key="k")
        assert new.outcome is TriggerOutcome.STARTED
        known = await client.trigger("p-2", Parcel(), idempotency_key="of one that is kept")
        assert (known.run_id, known.outcome) == (lasting.run_id, TriggerOutcome.KNOWN)


async def test_keys_are_searched_on_from_where_the_last_removal_has_ended() -> None:
    workflow = parcels_kept(Retention(keys=timedelta(days=10)))
    async with Bench(workflow) as bench:
        places = {"": "a", "a": "b", "b": ""}  # where a removal begins, and where it says it ended
        asked: list[str] = []
        store = bench.store.store

        async def placed(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            removals = [each for group in groups for each in group.removals]
            if not removals:
                return await store(groups)
            asked.extend(each.keys_after for each in removals)
            return [Committed((), removed=(500,), keys_left=(places[asked[-1]],))]

        bench.store.store = placed  # type: ignore[method-assign]  # of this one store
        await data_role(bench)
        await bench.pass_time(5)
        assert asked == ["", "a", "b"]


async def test_deletions_go_on_while_runs_are_removed(bench: Bench) -> None:
    await data_role(bench)
    handles = await triggered(bench, bench.workflow, "1", "2")
    await handles["1"].cancel("a test")
    await pass_long(bench, 0.9 * DAY)
    await handles["1"].delete_data()
    await bench.pass_time(1)
    assert (await handles["1"].get()).run_state is RunState.DATA_DELETED
    await pass_long(bench, 30 * DAY)
    assert set(await states(bench)) == {"1", "2"}  # these run states have no age


async def test_a_run_whose_deletion_is_asked_for_during_a_look_waits_for_its_scrubber() -> None:
    kept = Retention(cancelled=timedelta(days=1), data_deleted=timedelta(days=1))
    workflow, scrubbed = parcels_kept(kept), list[str]()

    @workflow.scrub
    async def scrub(run: ParcelRun) -> Parcel:
        scrubbed.append(run.foreign_id)
        return Parcel()

    async with Bench(workflow) as bench:
        handles = await triggered(bench, workflow, "1", "2")
        for handle in handles.values():
            await handle.cancel("a test")
        await pass_long(bench, 2 * DAY)
        runs = bench.store.runs

        async def asked_after(query: RunQuery) -> list[Record]:
            page = await runs(query)
            bench.store.runs = runs  # type: ignore[method-assign]  # of this one store
            await handles["1"].delete_data()
            return page

        bench.store.runs = asked_after  # type: ignore[method-assign]  # of this one store
        await data_role(bench)
        await bench.pass_time(1)
        assert scrubbed == ["1"]
        assert await states(bench) == {"1": RunState.DATA_DELETED}
        await pass_long(bench, 3 * DAY)
        assert not await states(bench)


async def test_a_resource_of_the_scrubber_that_does_not_open_stops_no_retention(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_broken, opened = True, list[str]()

    @resource
    async def files() -> AsyncIterator[str]:
        opened.append("broken" if is_broken else "open")
        if is_broken:
            raise OSError("no disk")
        yield "files"

    workflow = parcels_kept(Retention(cancelled=timedelta(days=1)))

    @workflow.scrub
    async def scrub(run: ParcelRun, store: str = files.value) -> Parcel:
        return Parcel()

    async with Bench(workflow) as bench:
        handles = await triggered(bench, workflow, "old", "secret", "young")
        for name in ("old", "secret"):
            await handles[name].cancel("a test")
        await pass_long(bench, 2 * DAY)
        await handles["secret"].delete_data()
        role = await data_role(bench)
        await bench.pass_time(10)
        assert set(await states(bench)) == {"secret", "young"}
        assert not role.task.done()
        assert len(opened) < 15
        why = "it deletes no data: OSError: no disk"
        assert bench.in_flight.breaker(role.role.name) == why
        assert f"role {role.role.name}: its scrubber can't run; trying again in" in caplog.text
        await handles["young"].cancel("a test")
        await pass_long(bench, 2 * DAY)
        assert set(await states(bench)) == {"secret"}
        is_broken = False
        await bench.pass_time(5)
        assert (await handles["secret"].get()).run_state is RunState.DATA_DELETED
        assert bench.in_flight.breaker(role.role.name) == ""
        await role.leave()


async def test_a_resource_that_does_not_close_ends_the_role_at_its_stop() -> None:
    @resource
    async def files() -> AsyncIterator[str]:
        yield "files"
        raise OSError("no disk")

    workflow = parcels_kept(Retention(cancelled=timedelta(days=1)))

    @workflow.scrub
    async def scrub(run: ParcelRun, store: str = files.value) -> Parcel:
        return Parcel()

    async with Bench(workflow) as bench:
        role = await data_role(bench)
        await bench.pass_time(1)
        with pytest.raises(OSError, match="no disk"):
            await role.leave()


async def test_an_orderly_stop_ends_the_pause(bench: Bench) -> None:
    role = await data_role(bench)
    await asyncio.wait_for(role.leave(), 5)


async def complete(bench: Bench, run_id: RunId) -> None:
    """Complete a run, as its step does."""
    (record,) = await bench.store.lookup([run_id])
    assert record is not None
    write = Next(record, "test", new_write_id()).enter(Stage.DONE, bench.workflow, Cause.STEP)
    await bench.store.store([WriteGroup(writes=(write,))])
