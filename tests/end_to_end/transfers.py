"""A workflow whose step writes a row in the transaction of its transition, and its workers.

    python -m tests.end_to_end.transfers RECORDS WORKERS KILLS SEED LEASE

It runs so many workers at a time until it gets SIGTERM. The first KILLS of them are killed by
SIGKILL before a statement of their steps' transactions, and replaced: each of the first STATEMENTS
as often as the others, in a random order.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_cursor
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_cursor
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from workflow_ray import Retry, Run, Status, Workflow
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls

STATEMENTS = 40
"""A worker is killed before one of its first statements, which are those of two or three steps."""
RETRY = Retry(attempts=1000, backoff=timedelta(milliseconds=10))


class TransferStatus(Status):
    ORDERED = 1
    BOOKED = 2
    DONE = 3


class Transfer(BaseModel):
    number: int


TransferRun: TypeAlias = Run[Transfer, TransferStatus]
on_server = Workflow("transfers", Transfer, TransferStatus, partitions=4)
in_file = Workflow("transfers", Transfer, TransferStatus, partitions=4)
INSERT = text("INSERT INTO transfers VALUES (:number, :status)")


@on_server.step(TransferStatus.ORDERED, transactional=True, retry=RETRY)
async def book(run: TransferRun, session: AsyncSession) -> Literal[TransferStatus.BOOKED]:
    await session.execute(INSERT, {"number": run.data.number, "status": 1})
    return TransferStatus.BOOKED


@on_server.step(TransferStatus.BOOKED, transactional=True, retry=RETRY, shards=2)
async def confirm(run: TransferRun, session: AsyncSession) -> Literal[TransferStatus.DONE]:
    await session.execute(INSERT, {"number": run.data.number, "status": 2})
    return TransferStatus.DONE


@in_file.step(TransferStatus.ORDERED, transactional=True, retry=RETRY)
def book_in_file(run: TransferRun, session: Session) -> Literal[TransferStatus.BOOKED]:
    session.execute(INSERT, {"number": run.data.number, "status": 1})
    return TransferStatus.BOOKED


@in_file.step(TransferStatus.BOOKED, transactional=True, retry=RETRY)
def confirm_in_file(run: TransferRun, session: Session) -> Literal[TransferStatus.DONE]:
    session.execute(INSERT, {"number": run.data.number, "status": 2})
    return TransferStatus.DONE


def workflow_of(records: str) -> Workflow[Transfer, TransferStatus]:
    return in_file if records.startswith("sqlite") else on_server


class Trap:
    """Ends this process before statement number `at` of its steps' transactions. COMMIT counts as a
    statement.
    """

    def __init__(self, at: int) -> None:
        self._left = at

    def arm(self, records: str) -> None:
        if records.startswith("sqlite"):
            event.listen(Engine, "connect", self._watch)
            return
        for kind in (AsyncAdapt_dbapi_cursor, AsyncAdapt_asyncpg_cursor):
            for name in vars(kind).keys() & {"execute", "executemany"}:
                self._wrap(kind, name)
        event.listen(Engine, "commit", self._commit)

    def _watch(self, connection: sqlite3.Connection, _: object) -> None:
        """Count the statements of a transaction in which a step has written."""
        of_step = False

        def statement(sql: str) -> None:
            nonlocal of_step
            of_step = of_step or sql.startswith("INSERT INTO transfers")
            if of_step:
                self._reach(sql)
            if sql == "COMMIT":
                of_step = False

        connection.set_trace_callback(statement)

    def _commit(self, _: Connection) -> None:
        self._reach_on_server("COMMIT")

    def _wrap(self, kind: type[Any], name: str) -> None:
        original = cast(Callable[..., Any], getattr(kind, name))

        def execute(cursor: Any, statement: str, *more: Any, **named: Any) -> Any:
            self._reach_on_server(statement)
            return original(cursor, statement, *more, **named)

        setattr(kind, name, execute)

    def _reach_on_server(self, statement: str) -> None:
        """Count a statement, unless it is the store's own: these run in another thread."""
        if threading.current_thread() is threading.main_thread():
            self._reach(statement)

    def _reach(self, statement: str) -> None:
        self._left -= 1
        if self._left == 0:
            print(json.dumps(" ".join(statement.split())[:60]), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


async def work(records: str, lease: float) -> None:
    async with LocalRuntime([workflow_of(records)], Urls.of(records), lease=lease):
        await asyncio.Event().wait()


def start_worker(records: str, lease: float, kill_at: int | None) -> int:
    """Start a worker, and return the id of its process."""
    if (child := os.fork()) == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if kill_at is not None:
                Trap(kill_at).arm(records)
            asyncio.run(work(records, lease))
        finally:
            os._exit(1)
    return child


def places(rng: random.Random, kills: int) -> Iterator[int]:
    """Yield the statement before which each of the workers is killed."""
    every = list(range(1, STATEMENTS + 1))
    for _ in range(0, kills, STATEMENTS):
        rng.shuffle(every)
        yield from every


def main(records: str, workers: str, kills: str, seed: str, lease: str) -> None:
    alive = set[int]()
    kill_at = islice(places(random.Random(seed), int(kills)), int(kills))

    def end(*_: object) -> None:
        for worker in alive:
            os.kill(worker, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        while len(alive) < int(workers):
            alive.add(start_worker(records, float(lease), next(kill_at, None)))
        ended, status = os.wait()
        alive.discard(ended)
        if not os.WIFSIGNALED(status):
            end()


if __name__ == "__main__":
    main(*sys.argv[1:])
