"""Databases that tests change by plain SQL, whether or not there is a store in them."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from workflow_ray.ports import scheme_of
from workflow_ray_adapters.sql.mariadb.connections import definition_engine
from workflow_ray_adapters.sql.mariadb.url import parse_target as parse_mariadb
from workflow_ray_adapters.sql.postgresql.connections import access_to
from workflow_ray_adapters.sql.postgresql.url import parse_target as parse_postgresql
from workflow_ray_adapters.sql.sqlite.connections import open_writer

T = TypeVar("T")

ALL = (
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.server),
    pytest.param("mariadb", marks=pytest.mark.server),
)
"""Parameters for `empty`."""


def empty(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the URL of a new, empty database."""
    if kind == "sqlite":
        path = folder / "runs.db"
        path.touch()
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue(
        {"postgresql": "postgres_url", "mariadb": "mariadb_url"}[kind]
    )
    return url


async def transact(url: str, work: Callable[[Connection], T]) -> T:
    """Run the work in one writing transaction, and return its result."""
    if scheme_of(url) == "sqlite":
        with closing(open_writer(make_url(url).database or "")) as connection, connection.begin():
            return work(connection)
    engine = _engine(url)
    try:
        async with engine.begin() as server:
            return await server.run_sync(work)
    finally:
        await engine.dispose()


async def execute(url: str, *statements: str) -> None:
    def run(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await transact(url, run)


async def set_read_only(url: str, read_only: bool) -> None:
    """Set whether a PostgreSQL database is read-only, for connections that are made from then on.
    Open ones are cut.
    """
    database = url.rpartition("/")[2]
    setting = f"default_transaction_read_only = {'on' if read_only else 'off'}"
    await execute(url, "SET TRANSACTION READ WRITE", f'ALTER DATABASE "{database}" SET {setting}')
    if read_only:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        await execute(url, f"{cut} WHERE datname = current_database() AND pid <> pg_backend_pid()")


def _engine(url: str) -> AsyncEngine:
    if scheme_of(url) == "postgresql":
        return access_to(parse_postgresql(url)).writer
    return definition_engine(parse_mariadb(url), is_mariadb=True)
