"""An application that places orders: each with its run, in one transaction of its own.

    python -m tests.end_to_end.placing RECORDS DATABASE

It places order 1 in a process that is killed by SIGKILL before its first statement, order 2 in one
that is killed before its second, and so on, until a process lives. RECORDS has the deployed
workflow; DATABASE is SQLAlchemy's URL of the application's database.
"""

import asyncio
import json
import os
import signal
import sys
from functools import partial
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tests.end_to_end.kill_points import run_in_fork
from workflow_ray import Client, Run, Status, Workflow, connect

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mariadb": "mysql+asyncmy",
}


class OrderStatus(Status):
    PLACED = 1
    DONE = 2


class Order(BaseModel):
    number: int


OrderRun: TypeAlias = Run[Order, OrderStatus]
placed = Workflow("placed", Order, OrderStatus)


@placed.step(OrderStatus.PLACED)
async def fulfil(run: OrderRun) -> Literal[OrderStatus.DONE]:
    return OrderStatus.DONE


def database_of(records: str) -> str:
    """Return the application's URL of the database that holds the records."""
    url = make_url(records).set(query={})
    driver = DRIVERS[url.drivername]
    return url.set(drivername=driver).render_as_string(hide_password=False)


def trap(engine: AsyncEngine, at: int) -> None:
    """End this process before statement number `at` of the engine. COMMIT counts as a statement."""
    left = at

    def reach(statement: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            print(json.dumps(" ".join(statement.split())[:60]), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(_c: Connection, _cursor: object, statement: str, *_: Any) -> None:
        reach(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", execute)

    def commit(_: Connection) -> None:
        reach("COMMIT")

    event.listen(engine.sync_engine, "commit", commit)


async def place(client: Client[Order, OrderStatus], session: AsyncSession, number: int) -> None:
    await session.execute(text("INSERT INTO orders VALUES (:number)"), {"number": number})
    await client.trigger(str(number), Order(number=number), within=session)


async def place_one(records: str, database: str, number: int) -> None:
    engine = create_async_engine(database)
    async with connect(placed, records=records) as client, AsyncSession(engine) as session:
        await session.connection()  # SQLAlchemy's own first statements are not counted
        trap(engine, number)
        await place(client, session, number)
        await session.commit()
    await engine.dispose()


def scenario(records: str, database: str, number: int) -> None:
    asyncio.run(place_one(records, database, number))


def main(records: str, database: str) -> None:
    number, alive = 0, False
    while not alive:
        number += 1
        alive = run_in_fork(partial(scenario, records, database, number))


if __name__ == "__main__":
    main(*sys.argv[1:])
