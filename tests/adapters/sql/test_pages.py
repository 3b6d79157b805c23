"""Pages of runs come from indexes, and counts from counters, on every database: their cost does not
depend on other runs.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from tests.adapters.sql import databases
from workflow_ray.ports import scheme_of
from workflow_ray.records import Awaits, Cause, RunQuery, RunState, Write
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    group,
    new_run,
    step,
    store_all,
)
from workflow_ray_adapters.sql import pages
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.store import SqlStore

T = TypeVar("T")
MOST_RUNS = 2_000
"""Enough rows for a planner to prefer an index, where one fits."""


async def fill(store: SqlStore, url: str) -> None:
    """Most runs are completed; some wait for a message, some for an event, and few are paused."""
    created = [
        new_run(partition=at % 16, labels={"region": "eu", "tenant": f"{at % 100}"})
        for at in range(MOST_RUNS)
    ]
    await store_all(store, *created)
    await store_all(store, *(_end(run, at) for at, run in enumerate(created)))
    statistics = {
        "postgresql": ["ANALYZE records", "ANALYZE labels"],
        "mariadb": [f"ANALYZE TABLE {table} PERSISTENT FOR ALL" for table in ("records", "labels")],
    }
    await databases.execute(url, *statistics.get(scheme_of(url), []))


def _end(run: Write, at: int) -> Write:
    if at % 100 == 0:
        paused = step(run, status=SHIPPED, run_state=RunState.PAUSED)
        return replace(paused, cause=Cause.FAILED if at % 200 else Cause.PAUSE)
    if at % 20 == 1:
        return replace(step(run, status=PAID), awaits=Awaits.MESSAGE)
    if at % 20 == 2:
        return replace(step(run, status=PAID), awaits=Awaits.EVENT)
    return replace(step(run, status=SHIPPED, run_state=RunState.COMPLETED), awaits=Awaits.NOBODY)


async def read(store: SqlStore, work: Callable[[Session], T]) -> T:
    return await store._database.read(work)  # pyright: ignore[reportPrivateUsage]  # its plans are what is tried


def plan(session: Session, query: RunQuery) -> str:
    statement = pages.page(session, query)
    if statement is None:
        return ""
    connection: Connection = session.connection
    sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
    explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN ", "mysql": "EXPLAIN "}[
        connection.dialect.name
    ]
    return "\n".join(
        str(tuple(row)) for row in connection.exec_driver_sql(explain + sql.replace("%%", "%"))
    )


QUERIES = [
    RunQuery(
        workflow="orders",
        statuses=statuses,
        run_states=run_states,
        newest_first=newest_first,
        limit=10,
    )
    for statuses, run_states, newest_first in product(
        ((), (CREATED,), (PAID,), (SHIPPED,), (PAID, SHIPPED)),
        (
            (),
            (RunState.RUNNING,),
            (RunState.PAUSED,),
            (RunState.COMPLETED, RunState.PAUSED),
            (RunState.CANCELLED,),
        ),
        (False, True),
    )
]
QUERIES.append(  # of the role that retries paused runs
    RunQuery(
        workflow="orders",
        statuses=(CREATED, PAID, SHIPPED),
        run_states=(RunState.PAUSED,),
        causes=(Cause.FAILED,),
        updated_before=datetime(2100, 1, 1, tzinfo=UTC),
        limit=10,
    )
)
# All runs have the first label. Of those with it and another filter few fit, and a database may
# rather read all records: only those with a rarer label are tried.
LABELLED: list[tuple[dict[str, str], tuple[RunState, ...]]] = [
    ({"region": "eu"}, ()),
    ({"region": "eu", "tenant": "7"}, ()),
    ({"region": "eu", "tenant": "7"}, (RunState.PAUSED,)),
    ({"tenant": "1000"}, (RunState.PAUSED,)),
]
QUERIES.extend(
    RunQuery(
        workflow="orders", labels=labels, run_states=states, newest_first=newest_first, limit=10
    )
    for (labels, states), newest_first in product(LABELLED, (False, True))
)


async def test_every_page_comes_from_ranges_of_indexes(store: SqlStore, each_url: str) -> None:
    await fill(store, each_url)
    plans = [await read(store, partial(plan, query=query)) for query in QUERIES]
    assert [step for step in plans if not _is_by_index(step)] == []


def _is_by_index(step: str) -> bool:
    """Return whether no line of the plan reads all of the table, or sorts what an index has not
    limited.
    """
    scans = (
        r"SCAN (records|labels|others)|Seq Scan on (records|labels)"
        r"|'(records|labels|others)', '(ALL|index)'"
    )
    return not re.search(scans, step)


async def test_every_page_holds_what_the_filters_say(store: SqlStore, each_url: str) -> None:
    await fill(store, each_url)
    everything = await read(
        store, lambda session: pages.runs(session, RunQuery(workflow="orders", limit=MOST_RUNS))
    )
    for query in QUERIES:
        fitting = [
            record.run_id
            for record in (everything[::-1] if query.newest_first else everything)
            if record.status in (query.statuses or [record.status])
            and record.run_state in (query.run_states or [record.run_state])
            and record.cause in (query.causes or [record.cause])
            and (query.updated_before is None or record.updated_at < query.updated_before)
            and query.labels.items() <= record.labels.items()
        ]
        first: list[Any] = await store.runs(query)
        assert [record.run_id for record in first] == fitting[:10]
        if first:
            after = await store.runs(replace(query, after=first[-1].run_id))
            assert [record.run_id for record in after] == fitting[10:20]


async def test_counts_are_read_from_counters(store: SqlStore, each_url: str) -> None:
    await fill(store, each_url)
    counted = {
        (count.status, count.run_state): count.runs for count in await store.counts("orders")
    }
    assert counted == {
        (PAID, RunState.RUNNING): MOST_RUNS // 10,
        (SHIPPED, RunState.PAUSED): MOST_RUNS // 100,
        (SHIPPED, RunState.COMPLETED): MOST_RUNS - MOST_RUNS // 10 - MOST_RUNS // 100,
    }


async def test_a_lookup_answers_no_more_data_than_a_batch(store: SqlStore) -> None:
    runs = [new_run(data=b"x" * (3 * 1024 * 1024)) for _ in range(5)]
    for run in runs:
        await store.store([group(run)])
    ids = [run.run_id for run in runs]
    found = await store.lookup(ids)
    assert [record and record.run_id for record in found] == ids[:3]
    assert [record and record.run_id for record in await store.lookup(ids[3:], fresh=True)] == ids[
        3:
    ]
