"""The writer's states: each transition, and random walks on a store that fails now and then."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from workflow_ray.errors import StoreUnavailable, WorkflowError
from workflow_ray.ports import SystemClock
from workflow_ray.records import Committed, Fence, GroupResult, Stored, Version, Write
from workflow_ray.testing.conformance.runs import acquire, event, group, new_run
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.sqlite.database import SqliteDatabase
from workflow_ray_adapters.sql.store import SqlStore
from workflow_ray_adapters.sql.writer import TRANSITIONS, Input, State

T = TypeVar("T")
PATIENCE = 60.0

TABLE = """
              ASKED       DRAINED   CLOSED    ENDED
IDLE          COMMITTING  -         CLOSING   STOPPED
COMMITTING    -           IDLE      CLOSING   STOPPED
CLOSING       CLOSING     STOPPED   CLOSING   STOPPED
STOPPED       -           -         STOPPED   STOPPED
"""


def test_the_writer_has_these_transitions_and_no_others() -> None:
    head, *lines = (line.split() for line in TABLE.strip().splitlines())
    assert {
        (State[line[0]], Input[what]): State[to]
        for line in lines
        for what, to in zip(head, line[1:], strict=True)
        if to != "-"
    } == TRANSITIONS


class Erratic(SqliteDatabase):
    """A database that fails at random: before the commit or after it, by its own fault or
    another's.
    """

    def __init__(self, path: str, chance: random.Random) -> None:
        super().__init__(path)
        self.chance = chance
        self.rate = 0.0
        self.running = 0

    async def write(self, work: Callable[[Session], T]) -> T:
        assert self.running == 0, "two transactions at once"
        self.running += 1
        try:
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
            fails = self.chance.random() < self.rate
            kind = self.chance.choice(("aborted", "other", "lost before", "lost after"))
            if fails and kind == "aborted":
                raise Aborted("a deadlock")
            if fails and kind == "other":
                raise ValueError("a fault of this transaction")
            if fails and kind == "lost before":
                raise StoreUnavailable(self.where, "it is gone.")
            done = await super().write(work)
            if fails:
                raise StoreUnavailable(self.where, "its answer is lost.")
            return done
        finally:
            self.running -= 1


class Walk:
    """Ask for things at random, and keep the answers."""

    def __init__(self, store: SqlStore, fence: Fence, chance: random.Random) -> None:
        self._store = store
        self._fence = fence
        self._chance = chance
        self.stores: dict[asyncio.Task[list[GroupResult]], Write] = {}
        self.others: list[asyncio.Task[object]] = []

    def ask(self) -> None:
        match self._chance.choice(("client", "role", "call", "move", "wait", "cancel")):
            case "client":
                self._store_one(None)
            case "role":
                self._store_one(self._fence)
            case "call":
                self._other(self._store.lookup([], fresh=True))
            case "move":
                self._other(self._store.move(self._fence, limit=self._limit(), wait=0))
            case "wait":
                wait = self._chance.random() / 50
                self._other(self._store.move(self._fence, limit=self._limit(), wait=wait))
            case _:
                if calls := [*self.stores, *self.others]:
                    self._chance.choice(calls).cancel()

    def _store_one(self, fence: Fence | None) -> None:
        run = new_run(events=[event()] if self._chance.random() < 0.5 else [])
        self.stores[asyncio.create_task(self._store.store([group(run, fence=fence)]))] = run

    def _other(self, call: Coroutine[Any, Any, object]) -> None:
        self.others.append(asyncio.create_task(call))

    def _limit(self) -> int:
        return self._chance.choice((1, 3, 100))


async def walk(path: Path, store_id: str, chance: random.Random) -> None:
    database = Erratic(str(path), chance)
    async with SqlStore(database, SystemClock(), store_id).serve() as store:
        walking = Walk(store, await acquire(store), chance)
        database.rate = chance.choice((0.0, 0.1, 0.5))
        for _ in range(chance.randrange(60)):
            walking.ask()
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
    calls = [*walking.stores, *walking.others]
    answers = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), PATIENCE)
    for answer in answers:
        if isinstance(answer, BaseException):
            assert isinstance(answer, WorkflowError | ValueError | asyncio.CancelledError)
    database.close()
    await _check(path, store_id, walking.stores)


async def _check(
    path: Path, store_id: str, stores: dict[asyncio.Task[list[GroupResult]], Write]
) -> None:
    """Check that what was answered as stored is there once, and that what was refused is not."""
    database = SqliteDatabase(str(path))
    async with SqlStore(database, SystemClock(), store_id).serve() as store:
        for call, run in stores.items():
            (record,) = await store.lookup([run.run_id])
            if call.cancelled() or isinstance(call.exception(), StoreUnavailable):
                continue  # its outcome is unknown
            if call.exception():
                assert record is None
            else:
                assert call.result() == [Committed((Stored(run.run_id, Version(1)),))]
                assert record is not None
                assert record.version == 1
                assert len(await store.history(run.run_id)) == 1
    database.close()


@pytest.mark.parametrize("times", range(10))
async def test_every_request_gets_one_answer_and_it_is_true_whatever_fails(
    path: Path, store_id: str, rng: random.Random, times: int
) -> None:
    chance = random.Random(rng.random() + times)
    await walk(path, store_id, chance)
