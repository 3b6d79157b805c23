"""The cost of idle roles for a shared server, counted in transactions."""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection, Engine, event

from workflow_ray import Run, Status, Workflow
from workflow_ray.ports import SystemClock, records_adapter
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls
from workflow_ray.testing.conformance.runs import new_run, store_all

ROLES = 128
WRITES = 200
QUIET = 1.0
"""Seconds without a read after which every role has started and found no work."""
RARELY = 3600.0
"""Seconds. No heartbeat is sent while transactions are counted."""


class Work(BaseModel):
    pass


class Stage(Status):
    NEW = 1
    DONE = 2


idle = Workflow("idle", Work, Stage, partitions=ROLES)


@idle.step(Stage.NEW, shards=ROLES)
async def do(run: Run[Work, Stage]) -> Literal[Stage.DONE]:
    return Stage.DONE


@pytest.fixture
def reads() -> Iterator[list[object]]:
    """Counts the read-only transactions of this process."""
    reads = list[object]()

    def count(connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        if driver.readonly:
            reads.append(connection)

    event.listen(Engine, "begin", count)
    yield reads
    event.remove(Engine, "begin", count)


async def test_unrelated_writes_of_others_make_no_idle_role_read(
    postgres_url: str, reads: list[object]
) -> None:
    runtime = LocalRuntime([idle], Urls.of(postgres_url), lease=RARELY)
    async with (
        runtime,
        records_adapter(postgres_url).open_records(
            postgres_url, clock=SystemClock(), exclusive=False
        ) as others,
    ):
        seen = -1
        while seen != len(reads):
            seen = len(reads)
            await asyncio.sleep(QUIET)
        assert seen >= ROLES
        for _ in range(WRITES):
            await store_all(others, new_run(workflow="another"))
        made = len(reads) - seen
        assert made < WRITES / 10  # the look beneath notifications, every few seconds
