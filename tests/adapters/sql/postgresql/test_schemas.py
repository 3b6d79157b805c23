"""`?schema=name`: a store beside other tables of its database, and beside other stores."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from tests.servers import Postgres
from workflow_ray.errors import (
    AccessDenied,
    InvalidInput,
    NotAStore,
    StoreMissing,
    StoreUnavailable,
)
from workflow_ray.ports import SystemClock
from workflow_ray.records import NO_VERSION, RunQuery
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql import PostgresqlAdapter
from workflow_ray_adapters.sql.postgresql import connections, watch
from workflow_ray_adapters.sql.postgresql.connections import autocommit_engine
from workflow_ray_adapters.sql.postgresql.url import parse_target
from workflow_ray_adapters.sql.store import SqlStore

LONG, SOON = 60.0, 10.0


@asynccontextmanager
async def made(url: str) -> AsyncGenerator[SqlStore]:
    """Make a store, unless it exists, and open it."""
    await asyncio.to_thread(PostgresqlAdapter().create, url)
    async with PostgresqlAdapter().open_records(url, clock=SystemClock(), exclusive=False) as store:
        yield store


async def sql(url: str, *statements: str) -> None:
    async with autocommit_engine(parse_target(url)).connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def scalar(url: str, statement: str) -> object:
    async with autocommit_engine(parse_target(url)).connect() as connection:
        found: object = await connection.scalar(text(statement))
        return found


async def foreign_ids(store: SqlStore) -> set[str]:
    return {record.foreign_id for record in await store.runs(RunQuery(workflow="orders"))}


def test_the_schema_is_a_part_of_the_stores_name() -> None:
    canonical = PostgresqlAdapter().canonical
    assert canonical("postgresql://me:x@HOST/shop?sslmode=require&schema=workflows") == (
        "postgresql://host:5432/shop?schema=workflows"
    )
    assert canonical("postgresql:///shop?host=/run/pg&schema=a_1") == (
        "postgresql://:5432/shop?host=%2Frun%2Fpg&schema=a_1"
    )


@pytest.mark.parametrize(
    "name", ["", "Shop", "a-b", "1a", "pg_shop", 'a"b', "a;drop table x", "x" * 64, "a,b", "ä"]
)
def test_a_name_that_would_have_to_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="its schema must have 1 to 63 of a-z"):
        PostgresqlAdapter().canonical(f"postgresql://host/shop?schema={name}")


async def test_two_stores_of_a_database_do_not_see_or_wake_each_other(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 3600.0)
    one_url, other_url = f"{postgres_url}?schema=one", f"{postgres_url}?schema=other"
    async with made(one_url) as one, made(other_url) as other, made(one_url) as beside:
        assert one.store_id == beside.store_id != other.store_id
        of_one, of_other = new_run("1"), new_run("2")
        seen = {of_one.run_id: NO_VERSION}
        waiting = asyncio.create_task(beside.watch(seen, wait=LONG))
        elsewhere = asyncio.create_task(other.watch(seen, wait=LONG))
        await store_all(other, of_other)
        await store_all(one, of_one)
        assert [run.foreign_id for run in await asyncio.wait_for(waiting, SOON)] == ["1"]
        assert not elsewhere.done()
        elsewhere.cancel()
        assert (await foreign_ids(one), await foreign_ids(other)) == ({"1"}, {"2"})
    assert await scalar(postgres_url, "SELECT to_regclass('public.records')") is None


async def test_each_schema_is_served_by_a_process_of_its_own(postgres_url: str) -> None:
    one, other = f"{postgres_url}?schema=one", f"{postgres_url}?schema=other"
    for url in (one, other):
        await asyncio.to_thread(PostgresqlAdapter().create, url)
    opened = [PostgresqlAdapter().open_records(url, clock=SystemClock()) for url in (one, other)]
    async with opened[0], opened[1]:
        pass


async def test_the_tables_of_an_application_are_left_alone(postgres_url: str) -> None:
    await sql(postgres_url, "CREATE TABLE records (mine INTEGER)", "INSERT INTO records VALUES (7)")
    async with made(f"{postgres_url}?schema=workflows") as store:
        await store_all(store, new_run("1"))
        assert await foreign_ids(store) == {"1"}
    assert await scalar(postgres_url, "SELECT mine FROM public.records") == 7
    with pytest.raises(NotAStore, match=r"\?schema=NAME"):
        await asyncio.to_thread(PostgresqlAdapter().create, postgres_url)


async def test_a_schema_that_holds_other_tables_is_refused(postgres_url: str) -> None:
    await sql(postgres_url, "CREATE SCHEMA shop", "CREATE TABLE shop.orders (number INTEGER)")
    with pytest.raises(NotAStore):
        await asyncio.to_thread(PostgresqlAdapter().create, f"{postgres_url}?schema=shop")


async def test_a_schema_that_does_not_exist_is_not_made_by_opening(postgres_url: str) -> None:
    url = f"{postgres_url}?schema=missing"
    with pytest.raises(StoreMissing, match="the schema does not exist"):
        async with PostgresqlAdapter().open_records(url, clock=SystemClock()):
            pass
    assert await scalar(postgres_url, "SELECT to_regnamespace('missing')") is None


async def test_several_processes_make_a_schema_at_once(postgres_url: str) -> None:
    url = f"{postgres_url}?schema=workflows"
    adapter = PostgresqlAdapter()
    made = await asyncio.gather(*(asyncio.to_thread(adapter.create, url) for _ in range(4)))
    assert len(set(made)) == 1


async def test_a_user_needs_no_right_to_make_schemas_where_it_exists(
    postgres: Postgres, postgres_url: str
) -> None:
    role = f"guest_{postgres_url[-8:]}"
    await sql(postgres_url, f'CREATE ROLE "{role}" LOGIN')
    guest = f"{postgres_url.replace('postgres@', f'{role}@')}?schema=workflows"
    try:
        with pytest.raises(AccessDenied):
            await asyncio.to_thread(PostgresqlAdapter().create, guest)
        await sql(postgres_url, f'CREATE SCHEMA workflows AUTHORIZATION "{role}"')
        async with made(guest) as store:
            await store_all(store, new_run("1"))
    finally:
        await sql(postgres_url, f'DROP OWNED BY "{role}" CASCADE', f'DROP ROLE "{role}"')


def no_search_path(_: str | None) -> dict[str, str]:
    return {}


async def test_connections_that_drop_the_setting_are_refused(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{postgres_url}?schema=workflows"
    await asyncio.to_thread(PostgresqlAdapter().create, url)
    monkeypatch.setattr(connections, "_search_path", no_search_path)
    for refused in (
        asyncio.to_thread(PostgresqlAdapter().create, url),
        PostgresqlAdapter().open_records(url, clock=SystemClock()).__aenter__(),
    ):
        with pytest.raises(StoreUnavailable, match="does not keep the setting search_path"):
            await refused
