"""A SQLite store for tests."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from workflow_ray.ports import SystemClock
from workflow_ray_adapters.sql import SqliteAdapter
from workflow_ray_adapters.sql.store import SqlStore

Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[SqlStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


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
