"""Newer code migrates the data that older code has stored."""

from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.roles.rolling import (
    Grams,
    Kilograms,
    Leg,
    OldRun,
    check_versions,
    new_code,
    old_code,
    stored,
)
from workflow_ray import Handle, RunState, Workflow
from workflow_ray.errors import UnreadableData


async def at_work(bench: Bench) -> Handle[Kilograms, Leg]:
    """A run of old code, whose first step the bench's code is to take."""
    handle = await bench.client(old_code()).trigger("1", Kilograms(weight=3))
    await bench.publisher()
    await bench.consumer(Leg.PICKED)
    return handle


async def test_a_run_of_old_code_goes_on_in_new_code_and_is_stored_in_its_version() -> None:
    async with Bench(new_code()) as bench:
        handle = await at_work(bench)
        await bench.pass_time()
        record = await stored(bench, handle.run_id)
        assert (record.status, record.data_version) == (Leg.PACKED.value, 2)
        found = await bench.client(new_code()).handle(handle.run_id).get()
        assert found.data == Grams(grams=3000, seen=["new pick"])
        entries = await bench.store.history(handle.run_id)
        check_versions(entries)
        assert [entry.data_version for entry in entries] == [1, 2]


async def test_a_migrated_run_whose_step_changes_nothing_is_stored_in_the_new_version() -> None:
    workflow = Workflow("rolling", Kilograms, Leg, data_version=2)

    @workflow.migrate(1)
    def same(data: dict[str, Any]) -> dict[str, Any]:
        return data

    @workflow.step(Leg.PICKED)
    async def pick(run: OldRun) -> Literal[Leg.PACKED, Leg.WEIGHED, Leg.PAID]:
        return Leg.PACKED

    async with Bench(workflow) as bench:
        handle = await at_work(bench)
        await bench.pass_time()
        record = await stored(bench, handle.run_id)
        assert (record.status, record.data_version) == (Leg.PACKED.value, 2)


async def test_new_runs_children_and_forks_have_the_version_of_the_code() -> None:
    async with Bench(new_code()) as bench:
        old = await bench.client(old_code()).trigger("old", Kilograms(weight=1))
        new = await bench.client(new_code()).trigger("new", Grams(grams=1))
        fork = await bench.client(new_code()).handle(old.run_id).fork(1, foreign_id="fork")
        assert (await stored(bench, old.run_id)).data_version == 1
        assert (await stored(bench, new.run_id)).data_version == 2
        forked = await stored(bench, fork.run_id)
        assert (forked.data_version, forked.data) == (2, b'{"grams":1000,"seen":[]}')


async def test_a_migration_that_raises_pauses_the_run_and_readers_get_unreadable_data() -> None:
    def wrong(data: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("SECRET")

    async with Bench(new_code(wrong)) as bench:
        handle = await at_work(bench)
        await bench.pass_time(60)
        record = await stored(bench, handle.run_id)
        assert (record.run_state, record.data_version) == (RunState.PAUSED, 1)
        assert record.reason is not None
        assert "the migration wrong from version 1" in record.reason
        assert "SECRET" not in record.reason
        read = bench.client(new_code(wrong)).handle(handle.run_id)
        with pytest.raises(UnreadableData, match="raised KeyError in line"):
            _ = (await read.get()).data
        (entry, *_) = await read.history()
        assert "the migration wrong" in str(entry.unreadable)


async def test_a_repeated_trigger_is_known_although_the_first_one_was_made_by_old_code() -> None:
    async with Bench(new_code()) as bench:
        old, new = bench.client(old_code()), bench.client(new_code())
        first = await old.trigger("1", Kilograms(weight=3), idempotency_key="k")
        again = await new.trigger("1", Grams(grams=3000), idempotency_key="k")
        assert again.run_id == first.run_id
