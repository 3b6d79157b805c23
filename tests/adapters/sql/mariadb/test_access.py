"""What a URL leads to: a store, or within 5 seconds one clear line that says what is wrong."""

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncIterator
from time import monotonic
from uuid import uuid4

import pytest

from workflow_ray.errors import (
    AccessDenied,
    InvalidInput,
    NotAStore,
    StoreMismatch,
    StoreMissing,
    StoreUnavailable,
    WorkflowError,
)
from workflow_ray.ports import SystemClock, adapter_for
from workflow_ray_adapters.sql import MariadbAdapter

from ..databases import execute
from .conftest import Opener

SECRET = "open sesame é"
QUOTED = "open%20sesame%20%C3%A9"


@pytest.mark.parametrize("scheme", ["mariadb", "mysql", "mysql+asyncmy"])
def test_mariadb_and_mysql_urls_find_the_adapter(scheme: str) -> None:
    assert isinstance(adapter_for(f"{scheme}://host/shop"), MariadbAdapter)


def test_every_spelling_names_the_same_store_without_user_secrets_or_options() -> None:
    spellings = [
        "mariadb://host/shop",
        "mysql+asyncmy://HOST:3306/shop",
        f"mysql://me:{QUOTED}@host/shop?ssl=true",
    ]
    assert {MariadbAdapter().canonical(url) for url in spellings} == {"mariadb://host:3306/shop"}


def test_a_socket_is_part_of_the_name() -> None:
    assert (
        MariadbAdapter().canonical("mariadb:///shop?unix_socket=/run/db")
        == "mariadb:///shop?unix_socket=%2Frun%2Fdb"
    )


@pytest.mark.parametrize(
    "url",
    ["mariadb://host", f"mariadb://me:{QUOTED}@host", f"mariadb://me:{QUOTED}@host:port/shop"],
)
def test_a_url_that_names_no_database_is_refused_with_its_shape_and_without_its_secret(
    url: str,
) -> None:
    with pytest.raises(InvalidInput, match="mariadb://user:password@host:3306/database") as refused:
        MariadbAdapter().canonical(url)
    assert QUOTED not in str(refused.value)


@pytest.mark.parametrize(
    "password", ["open@sesame", "open@sesame/x", "open@sesame:x", "open@sesame?x"]
)
def test_no_rest_of_a_password_with_an_unescaped_at_sign_is_shown(password: str) -> None:
    with pytest.raises(InvalidInput, match="write it as %40") as refused:
        MariadbAdapter().canonical(f"mariadb://me:{password}@host/shop")
    assert "sesame" not in str(refused.value)


def test_an_option_that_means_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidInput, match=r"sslmode.* There are: ssl, ssl_ca"):
        MariadbAdapter().canonical("mariadb://host/shop?sslmode=require")


def test_certificates_that_cannot_be_read_are_reported() -> None:
    with pytest.raises(InvalidInput, match="certificates can't be read"):
        MariadbAdapter().canonical("mariadb://host/shop?ssl_ca=/nowhere.pem")


# --- who isn't let in ---------------------------------------------------------------------------


async def refusal(url: str) -> WorkflowError:
    """Return the error that opening and creating both raise, within 5 seconds each."""
    start = monotonic()
    with pytest.raises(WorkflowError) as of_create:
        await asyncio.to_thread(MariadbAdapter().create, url)
    middle = monotonic()
    with pytest.raises(WorkflowError) as of_open:
        await MariadbAdapter().open_records(url, clock=SystemClock()).__aenter__()
    assert max(middle - start, monotonic() - middle) < 5
    assert str(of_open.value) == str(of_create.value)
    assert "\n" not in str(of_open.value)
    return of_open.value


@pytest.fixture
async def guarded(mariadb_url: str) -> AsyncIterator[str]:
    """The URL of a user who has a password, and the right to this database only."""
    name = f"guest_{uuid4().hex[:20]}"
    database = mariadb_url.rpartition("/")[2]
    await execute(
        mariadb_url,
        f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY '{SECRET}'",
        f"GRANT ALL ON {database}.* TO {name}@'127.0.0.1'",
    )
    yield mariadb_url.replace("root@", f"{name}:{QUOTED}@")
    await execute(mariadb_url, f"DROP USER {name}@'127.0.0.1'")


async def test_secrets_are_in_no_error_and_no_log_and_no_repr(
    guarded: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = await refusal(guarded.replace(QUOTED, "wrong%20sesame"))
    assert isinstance(error, AccessDenied)
    assert "Access denied for user" in str(error)
    adapter = MariadbAdapter()
    await asyncio.to_thread(adapter.create, guarded)
    async with adapter.open_records(guarded, clock=SystemClock()) as store:
        shown = [
            *traceback.format_exception(error),
            repr(error),
            caplog.text,
            repr(store),
            repr(vars(store)),
            store.stream_id,
        ]
    assert not [text for text in shown if "sesame" in text]


async def test_a_database_that_the_user_has_no_right_to_is_reported(guarded: str) -> None:
    error = await refusal(guarded.rpartition("/")[0] + "/mysql")
    assert isinstance(error, AccessDenied)
    assert "Give this user the right to it" in str(error)


async def test_a_missing_database_is_named(mariadb_url: str) -> None:
    error = await refusal(f"{mariadb_url}_not")
    assert isinstance(error, StoreMissing)
    assert "Unknown database" in str(error)


async def test_a_port_that_nobody_listens_on_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = await refusal(f"mariadb://127.0.0.1:{port}/shop")
    assert isinstance(error, StoreUnavailable)
    assert str(error).startswith(f"mariadb://127.0.0.1:{port}/shop: it can't be reached")


async def test_a_host_that_says_nothing_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await refusal(f"mariadb://127.0.0.1:{silent.getsockname()[1]}/shop")
    assert isinstance(error, StoreUnavailable)
    assert "doesn't answer" in str(error)


async def test_a_host_without_a_name_is_unavailable() -> None:
    assert isinstance(await refusal("mariadb://no-such-host.invalid/shop"), StoreUnavailable)


async def test_a_server_that_speaks_no_tls_is_not_spoken_to_in_the_clear(guarded: str) -> None:
    assert isinstance(await refusal(f"{guarded}?ssl=true"), StoreUnavailable)


# --- what stands there --------------------------------------------------------------------------


async def test_an_empty_database_becomes_a_store_by_create_only(mariadb_url: str) -> None:
    with pytest.raises(StoreMissing, match="workflow-ray deploy"):
        await MariadbAdapter().open_records(mariadb_url, clock=SystemClock()).__aenter__()
    store_id = await asyncio.to_thread(MariadbAdapter().create, mariadb_url)
    async with MariadbAdapter().open_records(
        mariadb_url, clock=SystemClock(), store_id=store_id
    ) as store:
        assert store.store_id == store_id


async def test_of_several_who_create_at_once_each_gets_the_one_store(mariadb_url: str) -> None:
    creating = [asyncio.to_thread(MariadbAdapter().create, mariadb_url) for _ in range(4)]
    assert len(set(await asyncio.gather(*creating))) == 1


async def test_creating_a_store_logs_nothing(
    mariadb_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(MariadbAdapter().create, mariadb_url)
    assert [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ] == []


async def test_another_programs_database_is_left_as_it_is(mariadb_url: str) -> None:
    await execute(mariadb_url, "CREATE TABLE customers (name TEXT)")
    assert isinstance(await refusal(mariadb_url), NotAStore)


async def test_lost_tables_are_not_made_again_behind_the_owners_back(
    url: str, opened: Opener
) -> None:
    await execute(url, "DROP TABLE topology")
    async with opened() as store:
        with pytest.raises(NotAStore, match="restore lost ones from a backup"):
            await store.deployment()


async def test_another_stores_database_is_refused(opened: Opener) -> None:
    with pytest.raises(StoreMismatch, match="another"):
        await opened(store_id="another").__aenter__()
