"""Stores as earlier versions left them.

schemas/REVISION_rows.sql has what each version's own code wrote into SQLite.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import cast

from alembic.config import Config
from alembic.script import ScriptDirectory

from workflow_ray.ports import Store, adapter_for, records_adapter, scheme_of
from workflow_ray.records import Awaits, RunId, RunQuery, RunState
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import CREATED, SHIPPED, stored
from workflow_ray_adapters.sql import schema
from workflow_ray_adapters.sql.schema import MIGRATIONS, USABLE_FROM

from .databases import execute, transact

SCHEMAS = Path(__file__).parent / "schemas"
STORE_ID = "4a9433e8-06b0-4043-834c-61c44c2764c2"
HELD = 2
"""The epoch at which an earlier version holds the role of the consumer."""
DONE, WAITING, TO_PUBLISH, LATER = (
    RunId(run_id)
    for run_id in (
        "01a20888-fe3b-767c-8846-e4b7d8865064",
        "01a20888-fe3b-767c-8846-e4b9b5d1534a",
        "01a20888-fe5e-73c1-ad75-e7e7f362b28b",
        "01a20888-fe5e-73c1-ad75-e7e9f7d5848f",
    )
)


def revisions() -> list[str]:
    """Return every revision that there was, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return sorted(
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    )


EARLIER = revisions()[:-1]
UNUSABLE = [revision for revision in EARLIER if revision < USABLE_FROM]
"""The revisions whose code cannot use the newest schema."""


async def become(url: str, revision: str) -> None:
    await transact(url, lambda connection: schema.migrate(connection, revision))
    rows = (SCHEMAS / f"{revision}_rows.sql").read_text()
    if scheme_of(url) == "postgresql":
        rows = (
            rows.replace("X'", r"'\x")
            + "SELECT setval(pg_get_serial_sequence('outbox', 'id'), max(id)) FROM outbox;\n"
        )
        if "INTO messages" in rows:
            rows += (
                "SELECT setval(pg_get_serial_sequence('messages', 'id'), max(id)) FROM messages;\n"
            )
    await execute(url, *rows.removesuffix(";\n").split(";\n"))


async def create(url: str) -> str:
    return await asyncio.to_thread(adapter_for(url).create, url)


def whole(
    url: str, clock: FakeClock, *, exclusive: bool = True
) -> AbstractAsyncContextManager[Store]:
    """Check that the store holds events and timeouts as well."""
    opening = records_adapter(url).open_records(url, clock=clock, exclusive=exclusive)
    return cast(AbstractAsyncContextManager[Store], opening)


async def check_what_is_found_out(url: str) -> None:
    async with records_adapter(url).open_records(url, clock=FakeClock()) as store:
        done, waiting = await stored(store, DONE), await stored(store, WAITING)
        assert (done.awaits, waiting.awaits, waiting.awaited) == (Awaits.NOBODY, Awaits.EVENT, 1)
        assert await store.runs(RunQuery(workflow="orders", run_states=(RunState.COMPLETED,))) == [
            done
        ]
        counted = {
            (count.status, count.run_state): count.runs for count in await store.counts("orders")
        }
        assert counted == {(CREATED, RunState.INITIATED): 3, (SHIPPED, RunState.COMPLETED): 1}
