"""The write-ahead log of a SQLite file is bounded, whoever reads beside the writer."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite import log

from .conftest import Opener

MEGABYTE = 1024 * 1024
DATA = b"x" * (MEGABYTE // 4)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LIMIT", 8 * MEGABYTE)
    monkeypatch.setattr(log, "GROWTH", 2 * MEGABYTE)


def size(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def count_slowly(session: Session) -> None:
    """A read that takes about as long as a few writes."""
    session.connection.scalar(
        text("SELECT sum(length(hex(data))) FROM (SELECT data FROM records LIMIT 40)")
    )


async def test_reads_in_a_loop_beside_writes_keep_the_log_below_its_bound(
    store_id: str, path: Path, opened: Opener
) -> None:
    largest = 0
    async with opened() as store:

        async def read() -> None:
            while True:
                await store._database.read(count_slowly)  # pyright: ignore[reportPrivateUsage]  # no call of the store is this slow

        reading = [asyncio.create_task(read()) for _ in range(4)]
        for _ in range(200):  # 50 MB
            await store_all(store, new_run(data=DATA))
            largest = max(largest, size(path))
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    assert largest < 25 * MEGABYTE


async def test_a_reader_in_another_process_holds_up_neither_writes_nor_reads(
    store_id: str, path: Path, opened: Opener
) -> None:
    async with opened() as store:
        await store_all(store, new_run())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM records").fetchall()
            async with asyncio.timeout(30):
                for _ in range(60):  # 15 MB
                    await store_all(store, new_run(data=DATA))
                    await store.counts("orders")
            pinned = size(path)
            assert pinned > 8 * MEGABYTE
        for _ in range(20):
            await store_all(store, new_run(data=DATA))
        assert size(path) < pinned + 2 * MEGABYTE  # 10 MB were written since
