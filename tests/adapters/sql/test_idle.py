"""How idle runs are found among many others."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from workflow_ray.records import RunId
from workflow_ray.testing.conformance.runs import CREATED, event, new_run, store_all
from workflow_ray_adapters.sql import idle
from workflow_ray_adapters.sql.dialects import SQLITE
from workflow_ray_adapters.sql.store import SqlStore

from .conftest import Opener


async def found(store: SqlStore, *, limit: int) -> list[RunId]:
    """All of them, page by page."""
    run_ids = list[RunId]()
    while page := await store.idle("orders", [CREATED], seconds=0, limit=limit, after=run_ids[-1] if run_ids else None):
        run_ids += [event.run_id for event in page]
    return run_ids


async def test_however_many_runs_have_events_those_among_them_are_found(
    store_id: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "AT_ONCE", 3)
    async with opened() as store:
        assert isinstance(store, SqlStore)
        runs = [new_run(events=() if at in (7, 8, 9, 15) else [event(delay=60)]) for at in range(20)]
        await store_all(store, *runs)
        forgotten = sorted(run.run_id for run in runs if not run.events)
        assert await found(store, limit=2) == await found(store, limit=100) == forgotten


def test_runs_that_are_finished_cost_nothing(store_id: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        query = idle._quiet(SQLITE).compile(dialect=SQLITE.driver)  # pyright: ignore[reportPrivateUsage]  # its plan is what is tried
        plan = database.execute(f"EXPLAIN QUERY PLAN {query}", [None] * str(query).count("?")).fetchall()
    assert "USING INDEX records_unfinished (workflow=? AND unfinished>?)" in str(plan)
