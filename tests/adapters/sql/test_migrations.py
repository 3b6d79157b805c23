"""Migrations that are killed, or run at the same time, and databases that are refused."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from workflow_ray.errors import NotAStore, StoreMismatch, StoreMissing, StoreTooNew
from workflow_ray.ports import records_adapter
from workflow_ray.records import (
    Stored,
    Version,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    new_run,
    store_all,
)
from workflow_ray_adapters.sql.schema import REVISION, VERSION_TABLE

from .databases import execute
from .earlier_stores import (
    EARLIER,
    STORE_ID,
    become,
    check_what_is_found_out,
    create,
    whole,
)


@contextmanager
def killed_at(statement: int) -> Generator[None, None, None]:
    """Kill the migration before this statement, counted among those that change something."""
    seen = 0

    def count(_: object, __: object, sql: str, *___: object) -> None:
        nonlocal seen
        seen += (
            not sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW", "DESCRIBE", "BEGIN"))
        )
        if seen == statement:
            raise Killed

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", count)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("revision", EARLIER)
async def test_a_store_of_an_earlier_version_is_not_opened_before_it_is_migrated(
    empty_url: str, revision: str
) -> None:
    await become(empty_url, revision)
    with pytest.raises(StoreMismatch, match="workflow-ray deploy"):
        await records_adapter(empty_url).open_records(empty_url, clock=FakeClock()).__aenter__()


async def test_a_store_that_is_up_to_date_stays_as_it_is(empty_url: str) -> None:
    assert await create(empty_url) == await create(empty_url)


async def test_processes_that_migrate_at_once_all_find_it_made(old: str) -> None:
    script = (
        "import sys; from workflow_ray.ports import adapter_for;"
        " print(adapter_for(sys.argv[1]).create(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    several = [
        subprocess.Popen(
            [sys.executable, "-c", script, old], stdout=subprocess.PIPE, env=environment
        )
        for _ in range(2)
    ]
    store_ids = [
        (await asyncio.to_thread(process.communicate))[0].decode().strip() for process in several
    ]
    assert store_ids == [STORE_ID] * 2


@pytest.mark.timeout(240)  # it starts a process for each statement
@pytest.mark.parametrize("revision", [None, *EARLIER])
async def test_a_migration_killed_anywhere_is_ended_by_the_next(
    empty_url: str, revision: str | None
) -> None:
    if revision is not None:
        await become(empty_url, revision)
    statement = 0
    while await killed(empty_url, statement := statement + 1):
        with pytest.raises((StoreMissing, StoreMismatch)):
            await records_adapter(empty_url).open_records(empty_url, clock=FakeClock()).__aenter__()
    assert statement > 1
    if revision is not None:
        assert await create(empty_url) == STORE_ID
        await check_what_is_found_out(empty_url)
    async with whole(empty_url, FakeClock()) as store:
        assert (await store_all(store, run := new_run())) == [Stored(run.run_id, Version(1))]


async def killed(empty_url: str, statement: int) -> bool:
    """Return whether a migration was killed at this statement."""
    try:
        with killed_at(statement):
            await create(empty_url)
    except Killed:
        return True
    return False


async def test_a_database_that_is_newer_than_the_code_is_refused(empty_url: str) -> None:
    await create(empty_url)
    await execute(
        empty_url,
        f"UPDATE {VERSION_TABLE} SET version_num = '9999'",
        "UPDATE deployment SET usable_from = NULL",
    )
    with pytest.raises(StoreTooNew, match="9999 is newer than this code's"):
        await create(empty_url)
    with pytest.raises(StoreTooNew, match="Update workflow_ray"):
        await records_adapter(empty_url).open_records(empty_url, clock=FakeClock()).__aenter__()


async def test_a_newer_schema_that_only_adds_is_used_by_this_code(empty_url: str) -> None:
    await create(empty_url)
    await execute(
        empty_url,
        f"UPDATE {VERSION_TABLE} SET version_num = '9999'",
        f"UPDATE deployment SET usable_from = '{REVISION}'",
    )
    store_id = await create(empty_url)
    async with records_adapter(empty_url).open_records(
        empty_url, clock=FakeClock(), store_id=store_id
    ) as store:
        assert (await store_all(store, run := new_run())) == [Stored(run.run_id, Version(1))]


async def test_a_newer_schema_that_asks_for_newer_code_is_refused(empty_url: str) -> None:
    await create(empty_url)
    await execute(
        empty_url,
        f"UPDATE {VERSION_TABLE} SET version_num = '9999'",
        "UPDATE deployment SET usable_from = '9999'",
    )
    with pytest.raises(StoreTooNew, match="Update workflow_ray"):
        await records_adapter(empty_url).open_records(empty_url, clock=FakeClock()).__aenter__()


async def test_another_programs_tables_are_left_alone(empty_url: str) -> None:
    await execute(empty_url, "CREATE TABLE theirs (id INTEGER PRIMARY KEY)")
    with pytest.raises(NotAStore):
        await create(empty_url)
