"""The role that deletes the data of runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Literal

import msgspec
import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel, ParcelRun, Stage, packing, parcels
from tests.unit.roles.deleting import GROUP, SECRET, completed, data_role, kept, scrubbed
from workflow_ray import Fatal, FunctionCall, Proceed, Retry, Run, RunState, resource
from workflow_ray.client.dead_letters import DATA
from workflow_ray.definition import Workflow
from workflow_ray.errors import ControlRefused, DataDeleted, UnreadableData
from workflow_ray.records import Cause, Record, Role, RunId, SetAsideQuery


async def test_without_a_scrubber_nothing_of_the_data_is_kept() -> None:
    workflow = packing()
    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        assert SECRET.encode() in await kept(bench, handle)
        asked = await handle.delete_data(by="ann")
        assert asked.run_state is RunState.REQUESTED_DATA_DELETED
        assert asked.data.label == SECRET
        await data_role(bench)
        await bench.pass_time()
        run = await handle.get()
        assert run.run_state is RunState.DATA_DELETED
        assert not run.labels
        with pytest.raises(DataDeleted):
            _ = run.data
        assert SECRET.encode() not in await kept(bench, handle)
        history = await handle.history()
        assert [(each.cause, each.by) for each in history[-2:]] == [
            (Cause.DELETION_REQUESTED, "ann"),
            (Cause.DATA_DELETED, f"{GROUP}-1-of-1"),
        ]
        assert history[-1].reason is None
        with pytest.raises(UnreadableData):
            _ = history[0].data
        assert await bench.store.set_aside(SetAsideQuery(group=GROUP)) == []


async def test_a_scrubber_says_what_is_kept() -> None:
    workflow, called = scrubbed()
    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time()
        run = await handle.get()
        assert run.run_state is RunState.DATA_DELETED
        assert run.data == Parcel(weight=3, label="removed")
        assert called == [SECRET]
        assert SECRET.encode() not in await kept(bench, handle)


async def test_a_plain_scrubber_has_resources_and_middleware_around_it() -> None:
    opened = list[str]()
    around = list[tuple[str, str, int]]()

    @resource
    async def files() -> AsyncIterator[str]:
        opened.append("open")
        yield "files"
        opened.append("closed")

    async def noted(call: FunctionCall, proceed: Proceed) -> object:
        around.append((call.kind, call.function, call.attempt))
        return await proceed()

    workflow = Workflow("parcels", Parcel, Stage, middleware=[noted])

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    @workflow.scrub
    def scrub(run: ParcelRun, store: str = files.value) -> Parcel:
        opened.append(f"{store} of {run.foreign_id}")
        return Parcel()

    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        role = await data_role(bench)
        await handle.delete_data()
        while (await handle.get()).run_state is not RunState.DATA_DELETED:
            await bench.pass_time(1)  # a plain function takes real time
            await asyncio.sleep(0.001)
        assert around[-1] == ("scrub", "scrub", 1)
        await role.leave()
        assert opened == ["open", "files of p-1", "closed"]


async def test_a_run_that_is_not_finished_keeps_its_data() -> None:
    workflow = packing()
    async with Bench(workflow) as bench:
        handle = (await triggered(bench, workflow, "p-1"))["p-1"]
        with pytest.raises(
            ControlRefused, match=r"it is INITIATED, not finished\. Wait for its end"
        ):
            await handle.delete_data()
        assert (await handle.get()).version == 1
        assert await bench.store.set_aside(SetAsideQuery(group=GROUP)) == []
        await handle.cancel("a test")
        assert (await handle.delete_data()).run_state is RunState.REQUESTED_DATA_DELETED


async def test_it_is_deleted_once_however_often_that_is_asked_for() -> None:
    workflow, called = scrubbed()
    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        for _ in range(3):
            await handle.delete_data()
        await data_role(bench)
        await bench.pass_time()
        assert (await handle.delete_data()).run_state is RunState.DATA_DELETED
        await bench.pass_time(30)
        assert called == [SECRET]
        assert (await handle.get()).version == 4


async def test_a_scrubber_that_fails_is_called_again_and_its_last_failure_is_a_dead_letter() -> (
    None
):
    workflow = packing()
    failures = list[str]()
    is_broken = True

    @workflow.scrub(retry=Retry(attempts=2, backoff=timedelta(seconds=10)))
    async def scrub(run: ParcelRun) -> Parcel:
        failures.append(run.foreign_id)
        if is_broken:
            raise OSError("no disk")
        return Parcel()

    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time()
        assert len(failures) == 1
        await bench.pass_time(60)
        assert len(failures) == 2
        letters = bench.client(workflow).dead_letters()
        (letter,) = [each async for each in letters]
        assert letter.origin == DATA
        assert letter.error == "OSError: no disk"
        assert (await letters.show(letter.id)).run_id == handle.run_id
        assert (await handle.get()).run_state is RunState.REQUESTED_DATA_DELETED
        assert (await handle.get()).data.label == SECRET
        is_broken = False
        await handle.delete_data()  # as a replay of the dead letter does
        await bench.pass_time(5)
        assert (await handle.get()).run_state is RunState.DATA_DELETED
        assert [each async for each in letters] == []


async def test_a_replayed_dead_letter_is_another_request() -> None:
    workflow = packing()
    is_broken = True

    @workflow.scrub
    async def scrub(run: ParcelRun) -> Parcel:
        if is_broken:
            raise Fatal("never")
        return Parcel()

    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(5)
        letters = bench.client(workflow).dead_letters()
        (letter,) = [each async for each in letters]
        is_broken = False
        await letters.replay(letter.id)
        await bench.pass_time(5)
        assert (await handle.get()).run_state is RunState.DATA_DELETED


async def test_a_scrubber_that_returns_something_else_is_not_called_again() -> None:
    workflow = packing()
    calls = list[str]()

    @workflow.scrub  # type: ignore[arg-type]  # it returns nothing
    async def scrub(run: ParcelRun) -> None:
        calls.append(run.foreign_id)

    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(600)
        assert calls == ["p-1"]
        (letter,) = [each async for each in bench.client(workflow).dead_letters()]
        assert "it must be Parcel itself" in letter.error


async def test_a_scrubber_that_kills_its_process_uses_up_its_attempts_and_others_lose_none() -> (
    None
):
    workflow = packing()
    calls = list[str]()
    hangs = asyncio.Event()

    @workflow.scrub(retry=Retry(attempts=2, backoff=timedelta(seconds=1)))
    async def scrub(run: ParcelRun) -> Parcel:
        calls.append(run.foreign_id)
        if run.foreign_id == "killer":
            await hangs.wait()
        return Parcel()

    async with Bench(workflow) as bench:
        handles = await triggered(bench, workflow, "killer", "other")
        for handle in handles.values():
            await handle.cancel("a test")
            await handle.delete_data()
        for _ in range(3):
            role = await data_role(bench)
            await bench.pass_time(30)
            await role.kill()
        await data_role(bench)
        await bench.pass_time(30)
        assert calls.count("killer") == 3  # one that was in doubt, and two that were counted
        assert (await handles["other"].get()).run_state is RunState.DATA_DELETED
        (letter,) = [each async for each in bench.client(workflow).dead_letters()]
        assert (
            "the process died while scrubber ran, and its attempts (2) are used up" in letter.error
        )


async def test_an_answer_is_kept_without_its_data() -> None:
    workflow = parcels()

    @workflow.callback(Stage.NEW)
    async def sent(run: ParcelRun, address: str) -> Literal[Stage.DONE]:
        run.data.label = address
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await data_role(bench)
        handle = (await triggered(bench, workflow, "p-1"))["p-1"]
        run = await handle.callback(sent, SECRET, idempotency_key="k")
        assert run.data.label == SECRET
        await handle.delete_data()
        await bench.pass_time(1)
        assert SECRET.encode() not in await kept(bench, handle)
        again = await handle.callback(sent, SECRET, idempotency_key="k")
        assert (again.version, again.status) == (run.version, Stage.DONE)
        with pytest.raises(DataDeleted):
            _ = again.data


async def test_a_version_whose_data_was_deleted_can_not_be_forked() -> None:
    workflow, _ = scrubbed()
    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await data_role(bench)
        await handle.delete_data()
        await bench.pass_time(1)
        with pytest.raises(DataDeleted):
            await handle.fork(1, foreign_id="p-2")


async def test_following_a_run_ends_with_the_deletion() -> None:
    workflow = packing()
    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        await handle.delete_data()

        async def follow() -> list[Cause]:
            return [entry.cause async for entry in handle.follow(after=2)]

        following = asyncio.create_task(follow())
        await bench.pass_time(60)
        assert not following.done()
        await data_role(bench)
        await bench.pass_time(1)
        assert await following == [Cause.DELETION_REQUESTED, Cause.DATA_DELETED]


async def test_a_bulk_job_asks_for_the_deletion_of_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow, called = scrubbed()
    async with Bench(workflow) as bench:
        handles = await triggered(bench, workflow, *map(str, range(30)))
        for name in ("1", "2", "3"):
            await handles[name].cancel("a test")
        client = bench.client(workflow)
        await data_role(bench)
        await bench.start(Role("parcels-bulk"))
        job = await client.bulk("delete_data", run_state=RunState.CANCELLED)
        await bench.pass_time(5)
        assert str(await job.progress()) == "done: 3 changed, 0 unchanged, 0 refused, 0 moved on"
        states = [(await handles[name].get()).run_state for name in ("1", "2", "3", "4")]
        assert states == [*[RunState.DATA_DELETED] * 3, RunState.INITIATED]
        assert len(called) == 3
        repeated = await client.bulk("delete_data")
        await bench.pass_time(5)
        assert (await repeated.progress()).unchanged == 3
        assert (await repeated.progress()).refused == 27


async def test_the_scrubber_can_do_without_data_that_the_code_can_not_read() -> None:
    workflow = packing()

    @workflow.scrub
    async def scrub(run: Run[Parcel, Stage]) -> Parcel:
        return Parcel(label=run.foreign_id)

    async with Bench(workflow) as bench:
        handle = await completed(bench, workflow)
        (record,) = await bench.store.lookup([handle.run_id])
        assert record is not None
        await handle.delete_data()
        lookup = bench.store.lookup

        async def unreadable(
            run_ids: Sequence[RunId], *, fresh: bool = False
        ) -> list[Record | None]:
            found = await lookup(run_ids, fresh=fresh)
            return [
                each and msgspec.structs.replace(each, data=b'{"weight": []}') for each in found
            ]

        bench.store.lookup = unreadable  # type: ignore[method-assign]  # of this one store
        await data_role(bench)
        await bench.pass_time(1)
        bench.store.lookup = lookup  # type: ignore[method-assign]  # of this one store
        assert (await handle.get()).data.label == "p-1"
