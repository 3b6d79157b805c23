"""The consumer: the events that it acts on, and its guarantees when the store or another holder
interferes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Parcels, Stage, packing, parcels
from workflow_ray.errors import RoleLost
from workflow_ray.records import (
    CONSUMER,
    Arrivals,
    Cause,
    Event,
    Record,
    Role,
    RunId,
    RunState,
    Topic,
    Version,
    Write,
    consumer_group,
)
from workflow_ray.roles import decisions
from workflow_ray.roles.group_commits import CHECK
from workflow_ray.roles.waiting import LONG_POLL

ROLE = Role(consumer_group("parcels", Stage.NEW.value))


def waiting(gate: asyncio.Event, calls: list[str]) -> Parcels:
    """Its step waits for the gate."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        calls.append(run.foreign_id)
        await gate.wait()
        return Stage.DONE

    return workflow


async def again(bench: Bench, run_id: RunId, version: int) -> None:
    """Send again the event that the run reached `version` at NEW."""
    (record,) = await bench.store.lookup([run_id])
    assert record
    topic = Topic(f"parcels-{Stage.NEW.value}")
    await bench.whole.send(
        [
            Event(
                run_id=run_id,
                topic=topic,
                partition=record.partition,
                version=Version(version),
                status=1,
            )
        ]
    )


async def in_doubt(bench: Bench) -> set[int]:
    """The partitions that were not released."""
    return {row.partition for row in await bench.rows(Stage.NEW) if row.in_use}


# --- which events count -------------------------------------------------------------------------


async def test_an_event_behind_its_record_is_dropped_and_the_position_moves_past_it() -> None:
    workflow = packing()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await again(bench, runs["1"].run_id, version=1)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]
        assert list((await bench.position(Stage.NEW)).values()) == [2]


async def test_a_repeated_event_runs_its_step_once_even_while_the_step_runs() -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = waiting(gate, calls)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await again(bench, runs["1"].run_id, version=1)
        await bench.pass_time()
        assert calls == ["1"]
        assert list((await bench.position(Stage.NEW)).values()) == [1], (
            "the second event holds the position back from now on"
        )
        gate.set()
        await bench.pass_time()
        assert list((await bench.position(Stage.NEW)).values()) == [2]
    assert calls == ["1"]


class OldSnapshots(Bench):
    """A store that joins records older than the events, as a replica may do."""

    async def __aenter__(self) -> "OldSnapshots":
        await super().__aenter__()
        receive, lookup = self.store.receive, self.store.lookup
        self.fresh: list[RunId] = []

        async def old(
            topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
        ) -> Arrivals:
            found = await receive(topic, offsets, reader=reader, limit=limit, wait=wait)
            events = tuple(
                msgspec.structs.replace(item, record=_before(item.record)) for item in found.events
            )
            return msgspec.structs.replace(found, events=events)

        async def looked_up(
            run_ids: Sequence[RunId], *, fresh: bool = False
        ) -> list[Record | None]:
            self.fresh += run_ids if fresh else ()
            return await lookup(run_ids, fresh=fresh)

        self.store.receive, self.store.lookup = old, looked_up  # type: ignore[method-assign]  # for this one store
        return self


def _before(record: Record | None) -> Record | None:
    return record and msgspec.structs.replace(record, version=Version(record.version - 1))


async def test_an_event_ahead_of_its_record_is_looked_up_on_the_writer_and_processed() -> None:
    workflow = packing()
    async with OldSnapshots(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]
        assert bench.fresh == [runs["1"].run_id]


async def test_an_event_of_a_run_that_no_store_has_is_dropped_with_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = packing()
    async with Bench(workflow, apart=True) as bench:
        await bench.consumer(Stage.NEW)
        lost = Event(
            run_id=RunId("lost"),
            topic=Topic("parcels-1"),
            partition=3,
            version=Version(1),
            status=1,
        )
        await bench.whole.send([lost])
        await bench.pass_time()
        assert await bench.position(Stage.NEW) == {3: 1}
    assert "restored from a backup" in caplog.text


async def test_a_stream_in_another_store_is_processed_with_records_looked_up() -> None:
    workflow = packing()
    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, *map(str, range(20)))
        await bench.pass_time()
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]
        assert sum((await bench.position(Stage.NEW)).values()) == 20


# --- writes -------------------------------------------------------------------------------------


async def test_a_write_whose_answer_got_lost_is_repeated_with_the_same_id_and_doubles_nothing() -> (
    None
):
    workflow = packing()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2")
        bench.store.lose_answers = 2
        await bench.pass_time(seconds=10)
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]
    sent = [
        [write.write_id for write in group.writes]
        for group in bench.store.groups
        if group.fence and group.writes
    ]
    assert len(sent[0]) == 2
    assert sent == [sent[0]] * 3


async def test_a_write_that_the_store_rejects_fails_its_run_and_no_other_of_its_group() -> None:
    gate, workflow = asyncio.Event(), parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await gate.wait()
        run.data.label = run.foreign_id
        return Stage.DONE

    async with Bench(workflow) as bench:
        bench.store.rejected = lambda write: write.data is not None and b'"bad"' in write.data
        await bench.publisher()
        at_work = await bench.consumer(Stage.NEW)
        runs = await triggered(
            bench, workflow, *(f"{n}" for n in range(10)), "bad", *(f"{n}" for n in range(10, 17))
        )
        await bench.pass_time()
        gate.set()
        await bench.pass_time()
        states = {foreign_id: (await handle.get()).run_state for foreign_id, handle in runs.items()}
        assert states.pop("bad") is RunState.PAUSED
        assert set(states.values()) == {RunState.COMPLETED}
        assert (await runs["bad"].get()).reason == "the store rejects the write: it doesn't fit"
        assert sum((await bench.position(Stage.NEW)).values()) == 18
        await at_work.leave()


async def test_a_result_that_lost_against_another_write_lets_the_position_move() -> None:
    gate = asyncio.Event()
    workflow = waiting(gate, [])
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await bench.cancel_from_outside(runs["1"].run_id)
        gate.set()
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.CANCEL]
        assert list((await bench.position(Stage.NEW)).values()) == [1]


# --- holding the role ---------------------------------------------------------------------------


async def test_a_role_whose_epoch_is_old_ends_and_none_of_its_writes_is_applied() -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = waiting(gate, calls)
    async with Bench(workflow) as bench:
        await bench.publisher()
        at_work = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1", "2")
        await bench.pass_time()
        await bench.store.acquire(ROLE)
        gate.set()
        await bench.pass_time()
        with pytest.raises(
            RoleLost, match=f"{CONSUMER}-1-of-1 is held by epoch 2; epoch 1 must stop"
        ):
            await at_work.task
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER]
        assert await bench.position(Stage.NEW) == {}
    assert sorted(calls) == ["1", "2"]


async def test_stopping_finishes_what_is_in_hand_takes_nothing_new_and_releases_the_role() -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = waiting(gate, calls)
    async with Bench(workflow) as bench:
        await bench.publisher()
        at_work = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        at_work.stop.set()
        await bench.pass_time()
        await triggered(bench, workflow, "2")
        await bench.pass_time()
        assert not at_work.task.done()
        gate.set()
        await at_work.task
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]
        assert not await in_doubt(bench)
    assert calls == ["1"]


async def test_cancellation_commits_nothing_and_releases_nothing() -> None:
    workflow = waiting(asyncio.Event(), [])
    async with Bench(workflow) as bench:
        await bench.publisher()
        at_work = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await at_work.kill()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER]
        assert await in_doubt(bench)


async def test_the_next_holder_goes_on_at_the_positions_and_replays_nothing() -> None:
    calls = list[str]()
    gate = asyncio.Event()
    gate.set()
    workflow = waiting(gate, calls)
    async with Bench(workflow) as bench:
        await bench.publisher()
        at_work = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "1", "2")
        await bench.pass_time()
        await at_work.leave()
        await triggered(bench, workflow, "3")
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
    assert sorted(calls) == ["1", "2", "3"]


async def test_a_role_that_is_lost_while_nothing_happens_ends_when_its_wait_is_over() -> None:
    async with Bench(packing()) as bench:
        old = await bench.consumer(Stage.NEW)
        await bench.store.acquire(old.role)
        await bench.pass_time(1.25 * CHECK + LONG_POLL)
        with pytest.raises(RoleLost):
            await old.task


async def test_an_error_of_its_own_code_ends_a_role_and_leaves_no_run_waiting_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> Write:
        raise ZeroDivisionError("a bug")

    workflow = packing()
    async with Bench(workflow) as bench:
        await bench.publisher()
        at_work = await bench.consumer(Stage.NEW)
        with monkeypatch.context() as patched:
            patched.setattr(decisions, "decide", broken)
            runs = await triggered(bench, workflow, "1")
            await bench.pass_time()
            with pytest.raises(ExceptionGroup) as raised:
                await at_work.task
        assert raised.group_contains(ZeroDivisionError)
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]
