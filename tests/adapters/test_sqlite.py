"""The conformance suites of the SQLite adapter. Its own tests are in tests/adapters/sql."""

import asyncio
import math
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from unittest.mock import Mock

import pytest
from sqlalchemy import Connection

from tests.adapters.reference import ReferenceCases
from workflow_ray.ports import Store
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    EventStreamerConformance,
    Fragile,
    OutboxMoverConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)
from workflow_ray_adapters.sql import SqliteAdapter
from workflow_ray_adapters.sql.sqlite import database
from workflow_ray_adapters.sql.sqlite.connections import driver, open_writer

T = TypeVar("T")


class TestSqliteStore(
    RecordStoreConformance,
    EventStreamerConformance,
    TimeoutStoreConformance,
    RoleSchedulerConformance,
    OutboxMoverConformance,
    ReferenceCases,
):
    lacks: ClassVar = {
        Capability.SIZED_TOPICS: (
            "a topic is a name in its events' rows, with any number of partitions"
        )
    }

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        url = f"sqlite:///{tmp_path}/runs.db"
        SqliteAdapter().create(url)
        return url

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[Store]:
        async with SqliteAdapter().open_records(url, clock=clock, exclusive=False) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, clock: FakeClock) -> Another:
        return lambda: SqliteAdapter().open_records(url, clock=clock, exclusive=False)

    @pytest.fixture
    async def fragile(
        self, another: Another, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Fragile]:
        gate = Gate()
        async with AsyncExitStack() as stack:
            with monkeypatch.context() as patch:
                patch.setattr(database, "open_writer", partial(writing_through, gate))
                gate.store = await stack.enter_async_context(another())
            stack.callback(gate.heal)
            # A thread is held up, and not this loop.
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(
                database.SqliteDatabase, "_is_idle", Mock(return_value=False)
            )
            yield gate


class Gate:
    """A Fragile for a store: its writing connection goes through this. A message is a statement."""

    store: Store

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._passing = math.inf
        self._cutting = False
        self._held = asyncio.Event()
        self._healed = threading.Event()

    def cut_after(self, messages: int) -> None:
        self._passing, self._cutting = messages, True

    def hold_after(self, messages: int) -> None:
        self._passing, self._cutting = messages, False
        self._held.clear()
        self._healed.clear()

    async def held(self) -> None:
        await self._held.wait()

    def heal(self) -> None:
        self._passing, self._cutting = math.inf, False
        self._healed.set()

    def pass_on(self, statement: Callable[[], T]) -> T:
        """Run in the writer's thread."""
        if not self._passing and not self._cutting:
            self._loop.call_soon_threadsafe(self._held.set)
            self._healed.wait()
        self._break_if_cut()
        self._passing -= 1
        result = statement()
        self._break_if_cut()  # it was executed, and its answer is lost
        return result

    def _break_if_cut(self) -> None:
        if self._cutting and not self._passing:
            raise sqlite3.OperationalError("the connection is cut")


class GatedConnection(sqlite3.Connection):
    gate: Gate | None = None

    def pass_on(self, statement: Callable[[], T]) -> T:
        return self.gate.pass_on(statement) if self.gate else statement()

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(GatedCursor)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Run a statement outside of transactions, which is not a message of one."""
        return super().cursor().execute(*args)

    def commit(self) -> None:
        self.pass_on(super().commit)


class GatedCursor(sqlite3.Cursor):
    def execute(self, *args: Any) -> Any:
        return self._pass_on(lambda: super(GatedCursor, self).execute(*args))

    def executemany(self, *args: Any) -> Any:
        return self._pass_on(lambda: super(GatedCursor, self).executemany(*args))

    def _pass_on(self, statement: Callable[[], T]) -> T:
        assert isinstance(self.connection, GatedConnection)
        return self.connection.pass_on(statement)


def writing_through(gate: Gate, path: str) -> Connection:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=GatedConnection))
        connection = open_writer(path)
    raw = driver(connection)
    assert isinstance(raw, GatedConnection)
    raw.gate = gate
    return connection
