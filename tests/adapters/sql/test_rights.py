"""A user who may only read and write rows runs workflows on a store that another user has made, as
docs/postgresql.md and docs/mariadb.md say.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.end_to_end.letters import Letter, LetterStatus, letters
from workflow_ray import Runtime
from workflow_ray_adapters.sql.postgresql import watch

ROWS = "SELECT, INSERT, UPDATE, DELETE"


@pytest.fixture
def user() -> str:
    return f"user_{uuid4().hex[:12]}"


async def run_letter(url: str) -> None:
    async with Runtime.local(letters, records=url) as runtime:
        handle = await runtime.client(letters).trigger(uuid4().hex, Letter(to="ann"))
        assert (await handle.wait(timeout=20)).status is LetterStatus.SENT


def of_user(url: str, user: str) -> str:
    parts: SplitResult = urlsplit(url)
    return parts._replace(netloc=f"{user}:x@{parts.hostname}:{parts.port}").geturl()


@asynccontextmanager
async def as_administrator(
    url: str, before: Sequence[str], after: Sequence[str]
) -> AsyncGenerator[None]:
    """Execute statements before and after the block."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in before:
            await connection.execute(text(statement))
        yield
        for statement in after:
            await connection.execute(text(statement))
    await engine.dispose()


async def test_on_postgresql_a_user_of_rows_runs_workflows(
    postgres_url: str, user: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "TEST", 0.01)
    await run_letter(postgres_url)
    async with as_administrator(
        postgres_url.replace("postgresql", "postgresql+asyncpg", 1),
        before=[
            f"CREATE ROLE {user} LOGIN PASSWORD 'x'",
            f"GRANT {ROWS} ON ALL TABLES IN SCHEMA public TO {user}",
            "REVOKE EXECUTE ON FUNCTION pg_terminate_backend FROM PUBLIC",
        ],
        after=[f"DROP OWNED BY {user}", f"DROP ROLE {user}"],
    ):
        await run_letter(of_user(postgres_url, user))
        assert "permission denied" not in caplog.text


async def test_on_mariadb_a_user_of_rows_runs_workflows(mariadb_url: str, user: str) -> None:
    await run_letter(mariadb_url)
    database = urlsplit(mariadb_url).path[1:]
    async with as_administrator(
        mariadb_url.replace("mariadb", "mariadb+asyncmy", 1),
        before=[
            f"CREATE USER {user} IDENTIFIED BY 'x'",
            f"GRANT {ROWS} ON `{database}`.* TO {user}",
        ],
        after=[f"DROP USER {user}"],
    ):
        await run_letter(of_user(mariadb_url, user))
