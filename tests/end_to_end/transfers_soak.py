"""Transactional steps whose workers are killed by SIGKILL at every statement, and orders that are
placed `within=` a transaction, some of which are rolled back.

    python -m tests.end_to_end.transfers_soak sqlite|postgresql|mariadb

The whole has 2,000 runs, 20 workers and 120 kills; options ask for less. On SQLite one process at a
time may run the steps of a file, so there it is one worker, which is replaced after each kill. It
starts a server of its own, prints what it did, and fails if a row or a run is missing or doubled.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from tests.conftest import open_folder
from tests.end_to_end.placing import database_of
from tests.end_to_end.transfers import Transfer, TransferStatus, workflow_of
from tests.servers import MariaDB, Postgres
from workflow_ray import Client, Handle, Run, RunState, Runtime, connect

ROOT = Path(__file__).parents[2]
SERVERS: dict[str, Any] = {"postgresql": Postgres, "mariadb": MariaDB}
AT_ONCE = 50
"""Histories that are read concurrently."""
TransferClient: TypeAlias = Client[Transfer, TransferStatus]
TransferHandle: TypeAlias = Handle[Transfer, TransferStatus]


@dataclass
class Soak:
    """What a soak does, and then what it did.

    Args:
        records: URL of new records, in the database of the application.
        runs: How many orders are placed and committed. After each tenth another one is rolled back.
        workers: The processes that run the steps at a time. On SQLite it is one.
        kills: How many of them are killed.
        seed: Chooses the statements before which they are killed, each as often as the others.
        lease: Seconds until others take over the roles of a worker that was killed. Many workers on
            a few cores need more, or they lose their roles while they live.
        patience: Seconds until the last run must have ended.
    """

    records: str
    runs: int
    workers: int
    kills: int
    seed: str
    lease: float = 1.0
    patience: float = 150.0
    killed_before: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0

    async def run(self) -> None:
        """Do it. Raises AssertionError if a row or a run is missing or doubled."""
        began = time.monotonic()
        workflow = workflow_of(self.records)
        async with Runtime.local(workflow, records=self.records):
            pass  # it is deployed
        engine = create_async_engine(database_of(self.records))
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE orders (number INTEGER)"))
            await connection.execute(
                text("CREATE TABLE transfers (number INTEGER, status INTEGER)")
            )
        arguments = (self.records, str(self.workers), str(self.kills), self.seed, str(self.lease))
        bank = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.end_to_end.transfers", *arguments), cwd=ROOT, stdout=PIPE
        )
        try:
            async with connect(workflow, records=self.records, patience=60) as client:
                handles = await self._place(client, engine)
                await self._check_runs(client, handles)
        finally:
            bank.terminate()
            printed, _ = await bank.communicate()
        self.killed_before.update(json.loads(line) for line in printed.splitlines())
        await self._check_rows(engine)
        await engine.dispose()
        self.seconds = time.monotonic() - began

    async def _place(self, client: TransferClient, engine: AsyncEngine) -> list[TransferHandle]:
        """Place the orders, each with its run in one transaction."""
        handles: list[TransferHandle] = []
        for number in range(self.runs):
            async with AsyncSession(engine) as session:
                handles.append(await self._place_one(client, session, number))
                await session.commit()
            if number % 10 == 0:
                async with AsyncSession(engine) as session:
                    await self._place_one(client, session, self.runs + number)
                    await session.rollback()
        return handles

    async def _place_one(
        self, client: TransferClient, session: AsyncSession, number: int
    ) -> TransferHandle:
        await session.execute(text("INSERT INTO orders VALUES (:number)"), {"number": number})
        order, key = Transfer(number=number), str(number)
        return await client.trigger(key, order, idempotency_key=key, within=session)

    async def _check_runs(self, client: TransferClient, handles: Sequence[TransferHandle]) -> None:
        """Check that there are the committed runs and no others, each at its end, by one way."""
        async with asyncio.timeout(self.patience):
            for first in range(0, len(handles), AT_ONCE):
                await asyncio.gather(*map(self._check_run, handles[first : first + AT_ONCE]))
        counts = await client.counts()
        assert counts == {(TransferStatus.DONE, RunState.COMPLETED): self.runs}, counts
        names = sorted([int(run.foreign_id) async for run in client.runs()])
        assert names == list(range(self.runs)), "a run of an order that was rolled back"

    async def _check_run(self, handle: TransferHandle) -> None:
        run: Run[Transfer, TransferStatus] = await handle.wait()
        assert run.status is TransferStatus.DONE, run.reason
        history = await handle.history()
        assert [entry.version for entry in history] == list(range(1, run.version + 1))

    async def _check_rows(self, engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            orders = (await connection.execute(text("SELECT number FROM orders"))).scalars().all()
            rows = (await connection.execute(text("SELECT number, status FROM transfers"))).all()
        assert sorted(orders) == list(range(self.runs))
        expected = Counter((number, status) for number in range(self.runs) for status in (1, 2))
        assert Counter((number, status) for number, status in rows) == expected


@contextmanager
def records_on(kind: str) -> Generator[str]:
    """Yield the URL of new records, on a server that is started for them."""
    with open_folder() as folder:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/bank.db"
            return
        server = SERVERS[kind](folder)
        server.start()
        with server, server.database("bank") as url:
            yield url


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill transactional steps at every statement.")
    parser.add_argument("kind", choices=["sqlite", *SERVERS])
    parser.add_argument("--runs", type=int, default=2000, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--kills", type=int, default=120, help="(default: %(default)s)")
    parser.add_argument(
        "--lease", type=float, default=5.0, help="in seconds (default: %(default)s)"
    )
    parser.add_argument("--seed", default=str(random.randrange(2**32)))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    workers = 1 if options.kind == "sqlite" else options.workers
    with records_on(options.kind) as records:
        soak = Soak(records, options.runs, workers, options.kills, options.seed, options.lease)
        soak.patience = timedelta(hours=1).total_seconds()
        asyncio.run(soak.run())
    print(
        f"{options.kind}: {soak.runs} runs and {workers} workers,"
        f" {sum(soak.killed_before.values())} of them killed before {len(soak.killed_before)}"
        f" different statements, {soak.seconds:.0f} s. Each row is there once."
    )
    for statement, count in soak.killed_before.most_common():
        print(f"  {count:4} {statement}")


if __name__ == "__main__":
    main()
