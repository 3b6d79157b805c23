"""A process that holds a role, and stops itself by SIGSTOP in its first write under the fence,
between the preparation of a statement and its execution.

`python -m tests.adapters.sql.postgresql.stopping URL PREPARED` prints when it holds the role, and
how its write went. It stops once it has prepared so many statements of the write. It exits with
NEVER if there are fewer.
"""

import asyncio
import os
import signal
import sys
from functools import partial
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # the driver has no type hints

from tests.adapters.zombie import transition
from workflow_ray.ports import SystemClock, persist
from workflow_ray.records import Role
from workflow_ray.testing.conformance.runs import PAID_CONSUMERS
from workflow_ray_adapters.sql import PostgresqlAdapter

ROLE = Role(PAID_CONSUMERS, 1, 2)
NEVER = 3


async def live(url: str, prepared: int) -> int:
    clock = SystemClock()
    async with PostgresqlAdapter().open_records(url, clock=clock, exclusive=False) as store:
        fence = await store.acquire(ROLE)
        print("holds the role", flush=True)
        seen = stop_after(prepared)
        write = partial(store.store, [transition(fence, 1)])
        (answer,) = await persist(write, clock, "stopping")
        print(type(answer).__name__)
        return 0 if len(seen) >= prepared else NEVER


def stop_after(prepared: int) -> list[str]:
    """Stop the process once that many statements were prepared in transactions. Returns the list of
    those that were.
    """
    driver: Any = asyncpg.Connection
    prepare = driver.prepare
    seen = list[str]()

    async def stopping(connection: Any, query: str, **options: Any) -> Any:
        statement = await prepare(connection, query, **options)
        if connection.is_in_transaction():
            seen.append(query)
            if len(seen) == prepared:
                os.kill(os.getpid(), signal.SIGSTOP)
        return statement

    driver.prepare = stopping
    return seen


if __name__ == "__main__":
    sys.exit(asyncio.run(live(sys.argv[1], int(sys.argv[2]))))
