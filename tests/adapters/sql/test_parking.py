"""What flow control reads comes from one index, on every database: its cost does not depend on the
number of parked runs.
"""

from functools import partial
from typing import Any

from msgspec.structs import replace
from sqlalchemy import text

from tests.adapters.sql import databases
from workflow_ray.ports import SystemClock, scheme_of
from workflow_ray.records import ParkedQuery
from workflow_ray.testing.conformance.flow import ORDERS, admitted, new_parked, summary
from workflow_ray.testing.conformance.runs import store_all
from workflow_ray_adapters.sql import counters, parking
from workflow_ray_adapters.sql.session import Session, Statement
from workflow_ray_adapters.sql.session import _compiled as compiled  # pyright: ignore[reportPrivateUsage]  # its plans are what is tried
from workflow_ray_adapters.sql.store import SqlStore

from .stores import opened

MANY = 3_000
KEYS = 5
STATEMENTS: list[tuple[Statement, dict[str, object]]] = [
    (parking._first_keys, {"lane": 3, "most": 101}),  # pyright: ignore[reportPrivateUsage]  # as above
    (parking._next_keys, {"lane": 3, "most": 101, "after": "key-1"}),  # pyright: ignore[reportPrivateUsage]  # as above
    (parking._held, {"lane": 2}),  # pyright: ignore[reportPrivateUsage]  # as above
]


async def fill(store: SqlStore, url: str) -> None:
    runs = [new_parked(f"key-{at % KEYS}", at % 3) for at in range(MANY)]
    await store_all(store, *runs)
    await store_all(store, *(admitted(run) for run in runs[:10]))
    await databases.execute(url, *{"postgresql": ["ANALYZE records"]}.get(scheme_of(url), []))


async def read(store: SqlStore, work: Any) -> Any:
    return await store._database.read(work)  # pyright: ignore[reportPrivateUsage]  # as above


async def test_keys_and_slots_come_from_ranges_of_the_index(store: SqlStore, each_url: str) -> None:
    await fill(store, each_url)
    if scheme_of(each_url) == "mariadb":
        queries = [ORDERS, replace(ORDERS, after="key-1"), replace(ORDERS, keys=1)]
        for query in queries:
            page, rows = await read(store, partial(rows_read, query=query))
            runs = sum(len(key.parked) for key in page.keys)
            assert rows <= 10 * (1 + len(page.keys) + runs + page.admitted)
        return
    for statement, values in STATEMENTS:
        plan = await read(store, partial(plan_of, statement=statement, values=values))
        assert "records_lane" in plan
        assert "SCAN records" not in plan
        assert "Seq Scan on records" not in plan


def plan_of(session: Session, statement: Statement, values: dict[str, object]) -> str:
    explain = "EXPLAIN QUERY PLAN " if session.dialect.driver.name == "sqlite" else "EXPLAIN "
    known = compiled(statement, session.dialect)
    cursor = session.connection.connection.cursor()
    cursor.execute(explain + known.sql, known.bind({"workflow": "orders", **values}))
    return "\n".join(str(tuple(row)) for row in cursor.fetchall())


def rows_read(session: Session, query: ParkedQuery) -> tuple[Any, int]:
    """Return the page, and how many rows the server has read for it."""

    def handled() -> int:
        status = session.connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
        return sum(int(count) for _, count in status)

    before = handled()
    page = parking.read(session, query)
    return page, handled() - before


async def test_the_numbers_of_changes_of_processes_that_ended_are_folded(
    each_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(counters, "MOST", 3)
    seen = 0
    for at in range(1, 7):
        async with opened(each_url, SystemClock()) as store:
            await store_all(store, new_parked("a"))
            found = await store.parked(ORDERS)
            assert found.change > seen
            assert len(summary(found)[0][2]) == at
            seen = found.change
            assert await read(store, number_of_counters) <= 4


def number_of_counters(session: Session) -> int:
    return int(session.rows(counters.CHANGES.number)[0][0])
