"""Cases of RecordStore.runs: filters, orders and pages."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations, product
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import Cause, Record, RunId, RunQuery, RunState
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    heavy_runs,
    new_run,
    next_page,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
)
from workflow_ray.testing.conformance.triggers import LOOKALIKES

CHOICES: dict[str, list[Any]] = {
    "statuses": [(PAID,), (CREATED, SHIPPED)],
    "run_states": [(RunState.RUNNING,), (RunState.PAUSED, RunState.COMPLETED, RunState.INITIATED)],
    "foreign_id": ["order-2"],
    "created_from": [START + timedelta(hours=4)],
    "created_before": [START + timedelta(hours=9)],
    "causes": [(Cause.FAILED,), (Cause.STEP, Cause.PAUSE)],
    "updated_before": [START + timedelta(hours=7)],
    "labels": [{"region": "eu"}, {"tier": "gold", "region": "us"}],
}


class FilterCases(Conformance):
    @pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
    async def test_every_filter_given_must_hold_alone_and_with_any_other(
        self, store: RecordStore, clock: FakeClock, newest_first: bool
    ) -> None:
        records = sorted(
            await various_runs(store, clock), key=lambda record: record.run_id, reverse=newest_first
        )
        for filters in every_filter():
            expected = [record.run_id for record in records if meets(record, filters)]
            query = RunQuery(workflow="orders", newest_first=newest_first, **filters)
            assert [record.run_id for record in await store.runs(query)] == expected, filters
            assert await in_pages(store, replace(query, limit=5)) == expected, filters

    async def test_created_from_is_inclusive_and_created_before_is_exclusive(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        begin = clock.now()
        record = await stored_run(store)
        tick = timedelta(microseconds=1)
        assert await store.runs(
            RunQuery(workflow="orders", created_from=begin, created_before=begin + tick)
        ) == [record]
        assert await store.runs(RunQuery(workflow="orders", created_from=begin + tick)) == []
        assert await store.runs(RunQuery(workflow="orders", created_before=begin)) == []

    @pytest.mark.parametrize("pair", LOOKALIKES.values(), ids=LOOKALIKES.keys())
    async def test_a_foreign_id_filter_compares_bytes(
        self, store: RecordStore, pair: tuple[str, str]
    ) -> None:
        runs = [new_run(foreign_id) for foreign_id in pair]
        await store_all(store, *runs)
        for foreign_id, run in zip(pair, runs, strict=True):
            assert [
                record.run_id
                for record in await store.runs(RunQuery(workflow="orders", foreign_id=foreign_id))
            ] == [run.run_id]

    @pytest.mark.parametrize("newest_first", [False, True])
    async def test_pages_neither_repeat_nor_skip_runs_while_others_are_created(
        self, store: RecordStore, newest_first: bool
    ) -> None:
        before = [record.run_id for record in await stored_runs(store, count=25)]
        seen: list[RunId] = []
        query = RunQuery(workflow="orders", newest_first=newest_first, limit=4)
        while len(seen) < 100 and (page := await next_page(store, query, seen)):
            seen += [record.run_id for record in page]
            await stored_runs(store, count=2 if len(seen) < 50 else 0)
        assert len(seen) == len(set(seen))
        assert [run_id for run_id in seen if run_id in before] == sorted(
            before, reverse=newest_first
        )

    @pytest.mark.parametrize("newest_first", [False, True])
    async def test_a_page_ends_with_the_run_whose_data_exceeds_the_bound(
        self, store: RecordStore, newest_first: bool
    ) -> None:
        runs = sorted(await heavy_runs(store), reverse=newest_first)
        query, seen, pages = (
            RunQuery(workflow="orders", newest_first=newest_first),
            list[RunId](),
            list[int](),
        )
        while page := await next_page(store, query, seen):
            seen += [record.run_id for record in page]
            pages.append(len(page))
        assert seen == runs
        assert pages == [5, 1]
        assert len(await store.runs(replace(query, limit=4))) == 4

    async def test_a_run_that_changes_keeps_its_place(self, store: RecordStore) -> None:
        one, two, three = await stored_runs(store, count=3)
        await store_all(store, step(one))
        assert [
            record.run_id
            for record in await store.runs(RunQuery(workflow="orders", after=one.run_id))
        ] == [two.run_id, three.run_id]

    async def test_an_unknown_workflow_has_no_runs(self, store: RecordStore) -> None:
        await stored_run(store)
        assert await store.runs(RunQuery(workflow="order")) == []
        assert await store.counts("order") == []


async def various_runs(store: RecordStore, clock: FakeClock) -> list[Record]:
    """Store twelve runs, an hour apart: three per foreign id, in all statuses."""
    runs = [
        new_run(
            f"order-{at % 4}",
            labels={"region": "eu" if at % 2 else "us", "tier": "gold" if at % 3 else "free"},
        )
        for at in range(12)
    ]
    for at, run in enumerate(runs):
        state = (
            RunState.COMPLETED
            if at < 8
            else [RunState.RUNNING, RunState.PAUSED, RunState.INITIATED, RunState.RUNNING][at % 4]
        )
        cause = (Cause.STEP, Cause.FAILED, Cause.PAUSE, Cause.STEP, Cause.FAILED)[at % 5]
        write = step(run, status=(CREATED, PAID, SHIPPED)[at % 3], run_state=state)
        await store_all(store, run, replace(write, cause=cause), new_run(workflow="invoices"))
        await clock.advance(timedelta(hours=1))
    return [await stored(store, run.run_id) for run in runs]


def every_filter() -> Iterator[dict[str, Any]]:
    """List no filter, each choice for each filter, and each pair of choices for two filters."""
    for many in range(3):
        for names in combinations(CHOICES, many):
            for values in product(*(CHOICES[name] for name in names)):
                yield dict(zip(names, values, strict=True))


def meets(record: Record, filters: dict[str, Any]) -> bool:
    return (
        record.status in filters.get("statuses", [record.status])
        and record.run_state in filters.get("run_states", [record.run_state])
        and record.foreign_id == filters.get("foreign_id", record.foreign_id)
        and filters.get("created_from", record.created_at) <= record.created_at
        and record.created_at < filters.get("created_before", record.created_at + timedelta(1))
        and record.cause in filters.get("causes", [record.cause])
        and record.updated_at < filters.get("updated_before", record.updated_at + timedelta(1))
        and filters.get("labels", {}).items() <= record.labels.items()
    )


async def in_pages(store: RecordStore, query: RunQuery) -> list[RunId]:
    seen: list[RunId] = []
    while page := await next_page(store, query, seen):
        seen += [record.run_id for record in page]
    return seen
