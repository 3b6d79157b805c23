"""A process that holds a role is stopped, and continues after another has acquired the role.

None of its later writes is stored. The other process has acquired the same role, or one of another
shard count.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import TypeAlias

import pytest

from tests.adapters.holders import holder
from tests.adapters.zombie import transition
from tests.servers import processes
from workflow_ray.ports import Records, SystemClock, persist, records_adapter
from workflow_ray.records import Position, Role, RunQuery
from workflow_ray.runtime.scaling import scale
from workflow_ray.testing.conformance.runs import PAID, PAID_CONSUMERS, deploy, workflow

SERVERS = [
    pytest.param(f"{name}_url", marks=pytest.mark.server, id=name)
    for name in ("postgres", "mariadb", "redis")
]
CLOCK = SystemClock()
FIRST = Role(PAID_CONSUMERS, 1, 2)

Takeover: TypeAlias = Callable[[Records, Role], Awaitable[Role]]
"""Acquires a role for another process, and returns it."""


async def same_role(store: Records, role: Role) -> Role:
    return role


async def more_shards(store: Records, role: Role) -> Role:
    shards = role.shards + 1
    await persist(partial(scale, store, "orders", PAID, shards=shards), CLOCK, "operator")
    return Role(role.group, role.shard, shards)


@pytest.fixture(params=[same_role, more_shards], ids=["same role", "more shards"])
def takeover(request: pytest.FixtureRequest) -> Takeover:
    found: Takeover = request.param
    return found


@pytest.fixture
def rounds(thorough: bool) -> int:
    return 5 if thorough else 1


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    records_adapter(found).create(found)
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[Records]:
    async with records_adapter(url).open_records(url, clock=CLOCK, exclusive=False) as store:
        await deploy(store, workflow())
        yield store


@pytest.mark.parametrize("url", [pytest.param("sqlite_url", id="sqlite"), *SERVERS], indirect=True)
async def test_a_process_stopped_between_two_writes_makes_no_third(
    store: Records, url: str, takeover: Takeover
) -> None:
    with zombie(url, FIRST, writes=2) as process:
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        await goes_on_in_vain(store, process, await takeover(store, FIRST))


# Not on SQLite: a process that is stopped in a transaction keeps the file locked until it
# continues, and no other process can write meanwhile.
@pytest.mark.timeout(240)
@pytest.mark.parametrize("url", SERVERS, indirect=True)
async def test_a_process_stopped_anywhere_in_a_transaction_writes_nothing_more(
    store: Records, url: str, takeover: Takeover, rng: random.Random, rounds: int
) -> None:
    role = FIRST
    for _ in range(rounds):
        with zombie(url, role, writes=0) as process:
            await has_written(store, process)
            await asyncio.sleep(rng.random() / 50)  # anywhere in a transaction
            processes.freeze([process.pid])
            role = await takeover(store, role)
            await goes_on_in_vain(store, process, role)


def zombie(url: str, role: Role, *, writes: int) -> AbstractContextManager[Popen[str]]:
    arguments = (url, role.group, str(role.shard), str(role.shards), str(writes))
    return holder("tests.adapters.zombie", *arguments)


async def has_written(store: Records, process: Popen[str]) -> None:
    """Wait until the process has written under its fence."""
    before = await stored_rows(store)
    while await stored_rows(store) == before:
        assert process.poll() is None, "it should write"


async def goes_on_in_vain(store: Records, process: Popen[str], role: Role) -> None:
    """`role` is acquired, and writes the rows that the stopped process would write."""
    fence = await persist(partial(store.acquire, role), CLOCK, "successor")
    await persist(partial(store.store, [transition(fence, 1)]), CLOCK, "successor")
    before = await stored_rows(store), await store.pending(fence, limit=10_000, wait=0)
    process.send_signal(signal.SIGCONT)
    said, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert said == "lost the role\n"
    assert (await stored_rows(store), await store.pending(fence, limit=10_000, wait=0)) == before


async def stored_rows(store: Records) -> tuple[set[str], list[Position]]:
    """Return the stored runs and positions."""
    runs = await store.runs(RunQuery(workflow="orders", limit=100_000))
    return {record.run_id for record in runs}, await store.positions(PAID_CONSUMERS)
