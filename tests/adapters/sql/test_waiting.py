"""Runs that have lost their event are found among many others."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from workflow_ray.records import Awaits, RunId, RunState, WaitingQuery, Write
from workflow_ray.testing.conformance.runs import event, new_run, step, store_all
from workflow_ray_adapters.sql import activity, waiting
from workflow_ray_adapters.sql.sqlite.dialect import SQLITE
from workflow_ray_adapters.sql.store import SqlStore

from .conftest import Opener

QUERY = WaitingQuery(workflow="orders", partition=0, quiet=0, limit=3)


async def found(store: SqlStore) -> list[RunId]:
    """Return all of them, read by read."""
    run_ids, query = list[RunId](), QUERY
    while True:
        look = await store.waiting(query)
        run_ids += [lost.run_id for lost in look.events]
        if look.after is None:
            return run_ids
        query = replace(query, after=look.after)


def asking(write: Write) -> Write:
    return replace(write, awaits=Awaits.EVENT, asks=True)


async def test_however_many_runs_have_events_those_that_lost_theirs_are_found(
    store_id: str, opened: Opener
) -> None:
    async with opened() as store:
        runs = [
            asking(new_run(events=() if at in (7, 8, 9, 15) else [event(delay=60)]))
            for at in range(20)
        ]
        await store_all(store, *runs)
        assert await found(store) == sorted(run.run_id for run in runs if not run.events)


async def test_runs_that_wait_for_something_else_or_for_nothing_are_not_looked_at(
    store_id: str, opened: Opener
) -> None:
    async with opened() as store:
        lost, stays, paused = (asking(new_run()) for _ in range(3))
        await store_all(store, lost, stays, paused)
        await store_all(store, replace(step(stays), awaits=Awaits.MESSAGE))
        await store_all(
            store, replace(step(paused, run_state=RunState.PAUSED), awaits=Awaits.NOBODY)
        )
        look = await store.waiting(QUERY)
        assert [(lost_event.run_id, lost_event.version) for lost_event in look.events] == [
            (lost.run_id, 1)
        ]
        assert look.after is None


@pytest.mark.parametrize(
    ("statement", "index"), [("_awaiting", "records_awaiting"), ("_pending", "outbox_by_run")]
)
def test_a_look_reads_ranges_of_indexes(
    store_id: str, path: Path, statement: str, index: str
) -> None:
    with closing(sqlite3.connect(path)) as database:
        query = str(getattr(waiting, statement)(SQLITE).compile(dialect=SQLITE.driver))
        plan = database.execute(f"EXPLAIN QUERY PLAN {query}", ["[]"] * query.count("?")).fetchall()
    assert f"USING INDEX {index}" in str(plan)
    assert "SCAN records" not in str(plan)


def test_delayed_events_are_read_in_the_order_of_an_index(store_id: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        query = str(activity.delayed(SQLITE).compile(dialect=SQLITE.driver))
        plan = database.execute(f"EXPLAIN QUERY PLAN {query}", [0] * query.count("?")).fetchall()
    assert "USING INDEX outbox_due" in str(plan)
    assert "TEMP B-TREE" not in str(plan), "it is sorted"


def test_delayed_events_of_runs_are_read_by_an_index(store_id: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        query = str(activity.of_runs(SQLITE).compile(dialect=SQLITE.driver))
        plan = database.execute(f"EXPLAIN QUERY PLAN {query}", ["[]"] * query.count("?")).fetchall()
    assert "USING INDEX outbox_by_run" in str(plan)
