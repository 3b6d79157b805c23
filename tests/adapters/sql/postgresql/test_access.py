"""What a URL leads to: a store, or within 5 seconds one clear line that says what is wrong."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from tests.servers import Postgres
from workflow_ray.errors import (
    AccessDenied,
    InvalidInput,
    NotAStore,
    StoreMismatch,
    StoreMissing,
    StoreTooNew,
    StoreUnavailable,
    WorkflowError,
)
from workflow_ray.ports import SystemClock, adapter_for
from workflow_ray_adapters.sql import PostgresqlAdapter

from .conftest import Opener, Sql

SECRET = "open sesame"
QUOTED = "open%20sesame"


def test_a_postgresql_url_finds_the_adapter() -> None:
    assert isinstance(adapter_for("postgresql://host/shop"), PostgresqlAdapter)
    assert isinstance(adapter_for("postgresql+asyncpg://host/shop"), PostgresqlAdapter)


def test_every_spelling_names_the_same_store_without_user_secrets_or_options() -> None:
    spellings = [
        "postgresql://host/shop",
        "postgresql+asyncpg://HOST:5432/shop",
        f"postgresql://me:{QUOTED}@host/shop?sslmode=require",
        f"postgresql://host/shop?user=me&password={QUOTED}&ssl=require",
        "postgresql:///shop?host=host&port=5432",
    ]
    assert {PostgresqlAdapter().canonical(url) for url in spellings} == {
        "postgresql://host:5432/shop"
    }


def test_a_folder_of_sockets_is_part_of_the_name() -> None:
    assert (
        PostgresqlAdapter().canonical("postgresql:///shop?host=/run/pg")
        == "postgresql://:5432/shop?host=%2Frun%2Fpg"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host",
        f"postgresql://me:{QUOTED}@host",
        f"postgresql://me:{QUOTED}@host:port/shop",
    ],
)
def test_a_url_that_names_no_database_is_refused_with_its_shape_and_without_its_secret(
    url: str,
) -> None:
    with pytest.raises(
        InvalidInput, match="postgresql://user:password@host:5432/database"
    ) as refused:
        PostgresqlAdapter().canonical(url)
    assert QUOTED not in str(refused.value)


@pytest.mark.parametrize(
    "password", ["open@sesame", "open@sesame/x", "open@sesame:x", "open@sesame?x"]
)
def test_no_rest_of_a_password_with_an_unescaped_at_sign_is_shown(password: str) -> None:
    with pytest.raises(InvalidInput, match="write it as %40") as refused:
        PostgresqlAdapter().canonical(f"postgresql://me:{password}@host/shop")
    assert "sesame" not in str(refused.value)


# --- who isn't let in ---------------------------------------------------------------------------


async def refusal(url: str) -> WorkflowError:
    """Return the error that opening and creating both raise, within 5 seconds each."""
    start = monotonic()
    with pytest.raises(WorkflowError) as of_create:
        await asyncio.to_thread(PostgresqlAdapter().create, url)
    middle = monotonic()
    with pytest.raises(WorkflowError) as of_open:
        await PostgresqlAdapter().open_records(url, clock=SystemClock()).__aenter__()
    assert max(middle - start, monotonic() - middle) < 5
    assert str(of_open.value) == str(of_create.value)
    assert "\n" not in str(of_open.value)
    return of_open.value


@pytest.fixture
def guarded(server_folder: Path) -> Iterator[str]:
    """The URL of a server that asks `guest` for a password."""
    with Postgres(server_folder) as server, server.database("shop") as url:
        server.stop()
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"host all guest 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        server.start()
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, make_guest(url)).result()
        yield url.replace("postgres@", f"guest:{QUOTED}@")


async def make_guest(url: str) -> None:
    from sqlalchemy import text

    from workflow_ray_adapters.sql.postgresql.connections import autocommit_engine
    from workflow_ray_adapters.sql.postgresql.url import parse_target

    async with autocommit_engine(parse_target(url)).connect() as connection:
        await connection.execute(text(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'"))
        await connection.execute(text("GRANT CREATE ON SCHEMA public TO guest"))


async def test_secrets_are_in_no_error_and_no_log_and_no_repr(
    guarded: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = guarded.replace(QUOTED, "wrong%20sesame")
    error = await refusal(wrong)
    assert isinstance(error, AccessDenied)
    assert 'password authentication failed for user "guest"' in str(error)
    adapter = PostgresqlAdapter()
    await asyncio.to_thread(adapter.create, guarded)
    async with adapter.open_records(guarded, clock=SystemClock()) as store:
        shown = [
            repr(error),
            str(error),
            caplog.text,
            repr(adapter),
            repr(store),
            repr(vars(store)),
            store.stream_id,
        ]
    assert not [text for text in shown if "sesame" in text]


async def test_a_user_without_rights_gets_an_error_that_says_so(guarded: str, sql: Sql) -> None:
    with pytest.raises(AccessDenied, match="right"):
        await asyncio.to_thread(PostgresqlAdapter().create, guarded.replace("/shop", "/template1"))


async def test_an_unknown_user_gets_an_error_that_says_so(url: str) -> None:
    error = await refusal(url.replace("postgres@", "nobody@"))
    assert isinstance(error, AccessDenied)
    assert '"nobody" does not exist' in str(error)


async def test_a_missing_database_is_named(url: str) -> None:
    error = await refusal(f"{url}_not")
    assert isinstance(error, StoreMissing)
    assert "does not exist. Create it first" in str(error)


async def test_a_port_that_nobody_listens_on_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = await refusal(f"postgresql://127.0.0.1:{port}/shop")
    assert isinstance(error, StoreUnavailable)
    assert str(error).startswith(f"postgresql://127.0.0.1:{port}/shop: it can't be reached")


async def test_a_host_that_says_nothing_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await refusal(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/shop")
    assert isinstance(error, StoreUnavailable)
    assert "doesn't answer" in str(error)


async def test_a_host_without_a_name_is_unavailable() -> None:
    assert isinstance(await refusal("postgresql://no-such-host.invalid/shop"), StoreUnavailable)


# --- what stands there --------------------------------------------------------------------------


async def test_an_empty_database_becomes_a_store_by_create_only(postgres_url: str) -> None:
    with pytest.raises(StoreMissing, match="workflow-ray deploy"):
        await PostgresqlAdapter().open_records(postgres_url, clock=SystemClock()).__aenter__()
    store_id = await asyncio.to_thread(PostgresqlAdapter().create, postgres_url)
    async with PostgresqlAdapter().open_records(
        postgres_url, clock=SystemClock(), store_id=store_id
    ) as store:
        assert store.store_id == store_id


async def test_of_several_who_create_at_once_each_gets_the_one_store(postgres_url: str) -> None:
    creating = [asyncio.to_thread(PostgresqlAdapter().create, postgres_url) for _ in range(4)]
    assert len(set(await asyncio.gather(*creating))) == 1


async def test_another_programs_database_is_left_as_it_is(postgres_url: str) -> None:
    from sqlalchemy import text

    from workflow_ray_adapters.sql.postgresql.connections import autocommit_engine
    from workflow_ray_adapters.sql.postgresql.url import parse_target

    async with autocommit_engine(parse_target(postgres_url)).connect() as connection:
        await connection.execute(text("CREATE TABLE customers (name TEXT)"))
        assert isinstance(await refusal(postgres_url), NotAStore)
        assert (
            await connection.scalar(
                text("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
            )
            == 1
        )


async def test_a_newer_schema_asks_for_newer_code(url: str, sql: Sql) -> None:
    await sql("UPDATE workflow_ray_schema SET version_num = '9999'")
    await sql("UPDATE deployment SET usable_from = '9999'")
    assert isinstance(await refusal(url), StoreTooNew)


async def test_an_older_schema_asks_for_a_deploy(opened: Opener, sql: Sql) -> None:
    await sql("UPDATE workflow_ray_schema SET version_num = '0000'")
    with pytest.raises(StoreMismatch, match="workflow-ray deploy"):
        await opened().__aenter__()


async def test_another_stores_database_is_refused(opened: Opener) -> None:
    with pytest.raises(StoreMismatch, match="another"):
        await opened(store_id="another").__aenter__()
