"""Stores for tests: on SQLite alone, and on each database."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import SqliteAdapter
from workflow_ray_adapters.sql.store import SqlStore

from .databases import ALL, empty
from .earlier_stores import EARLIER, become, create
from .pairs import Pair, open_pair
from .stores import opened as opened_on_each

Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[SqlStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture(params=ALL)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    return empty(request.param, request, tmp_path)


@pytest.fixture
async def each_url(empty_url: str) -> str:
    """A new store."""
    await create(empty_url)
    return empty_url


@pytest.fixture
async def store(each_url: str) -> AsyncIterator[SqlStore]:
    """A new store, open."""
    async with opened_on_each(each_url, SystemClock()) as store:
        yield store


@pytest.fixture
async def pair(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """Two processes that have a new store open."""
    async with open_pair(empty_url, monkeypatch) as pair:
        yield pair


@pytest.fixture(params=EARLIER)
async def old(empty_url: str, request: pytest.FixtureRequest) -> str:
    """The URL of a store that an earlier version left."""
    await become(empty_url, request.param)
    return empty_url


@pytest.fixture
def store_id(url: str) -> str:
    return SqliteAdapter().create(url)


@pytest.fixture
def opened(url: str) -> Opener:
    """Return a function that opens the store, with the adapter's options."""

    def opened(
        *, exclusive: bool = True, patience: float = 0.0, store_id: str | None = None
    ) -> AbstractAsyncContextManager[SqlStore]:
        return SqliteAdapter().open_records(
            url, clock=SystemClock(), exclusive=exclusive, patience=patience, store_id=store_id
        )

    return opened
