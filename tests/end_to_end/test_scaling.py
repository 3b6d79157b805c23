"""Shard counts change while the workflow runs in worker processes."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from tests.end_to_end.chores import Chore, ChoreStatus, chores
from tests.end_to_end.workers import PATIENCE, workers
from tests.servers import Kafka
from workflow_ray import Client, Handle, RunState, Runtime, connect
from workflow_ray.ports import Records, SystemClock
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.scaling import scale

LEASE = 2.0
COUNTS = (8, 3, 5)
LOAD = 60
"""Runs that are triggered before each change, and after the last one."""


async def trigger(
    client: Client[Chore, ChoreStatus], name: str
) -> list[Handle[Chore, ChoreStatus]]:
    return [await client.trigger(f"{name}-{number}", Chore(seconds=0.02)) for number in range(LOAD)]


async def check(handles: Sequence[Handle[Chore, ChoreStatus]]) -> None:
    """Check that each run is completed, with each version in its history once.

    Writes that were fenced off were repeated, and left no trace.
    """
    for handle in handles:
        run = await handle.wait(timeout=PATIENCE)
        assert run.run_state is RunState.COMPLETED
        assert [entry.version for entry in await handle.history()] == list(
            range(1, run.version + 1)
        )


async def times_written_by(
    handles: Sequence[Handle[Chore, ChoreStatus]], role: str
) -> list[datetime]:
    """Return the times at which the role wrote."""
    return [entry.at for handle in handles for entry in await handle.history() if entry.by == role]


@pytest.mark.timeout(180)
async def test_shards_change_under_load_in_one_process(tmp_path: Path) -> None:
    async with Runtime.local(chores, records=f"sqlite:///{tmp_path}/chores.db") as runtime:
        client = runtime.client(chores)
        handles: list[Handle[Chore, ChoreStatus]] = []
        for count in COUNTS:
            handles += await trigger(client, f"before-{count}")
            await runtime.scale(chores, ChoreStatus.NEW, shards=count)
        handles += await trigger(client, "after")
        await check(handles)
        roles = {entry.by for handle in handles for entry in await handle.history()}
        assert any(role.endswith("-of-5") for role in roles)


@pytest.mark.timeout(240)
async def test_no_write_of_a_stopped_worker_of_the_old_shards_is_committed(
    postgres_url: str, kafka: Kafka, tmp_path: Path
) -> None:
    """Two workers share the roles. One is stopped during the change, and continues afterwards."""
    events = f"{kafka.url}/{tmp_path.name}"
    async with (
        workers(2, tmp_path / "journal", LEASE, postgres_url, events) as (one, other),
        connect(chores, records=postgres_url) as client,
        open_beside(postgres_url, SystemClock()) as records,
    ):
        handles = await trigger(client, "first")
        await check(handles)
        for stopped, count in zip((one, other, one), COUNTS, strict=True):
            handles += await trigger(client, f"before-{count}")
            stopped.freeze()
            before = await count_of(records)
            await scale(records, chores.name, ChoreStatus.NEW.value, shards=count)
            marker = await client.trigger(f"marker-{count}", Chore())
            changed = (await marker.get()).created_at
            handles += await trigger(client, f"after-{count}")
            stopped.send(signal.SIGCONT)
            await check([*handles, marker])
            old = [f"chores-1-consumer-{shard}-of-{before}" for shard in range(1, before + 1)]
            late = [
                at for role in old for at in await times_written_by(handles, role) if at > changed
            ]
            assert not late, f"old shards wrote {len(late)} times after the change to {count}"


async def count_of(records: Records) -> int:
    (workflow,) = (await records.deployment()).workflows
    return workflow.shards("chores-1-consumer")


async def test_the_count_that_was_set_holds_when_the_code_is_deployed_again(tmp_path: Path) -> None:
    records = f"sqlite:///{tmp_path}/chores.db"
    async with Runtime.local(chores, records=records) as runtime:
        await runtime.scale(chores, ChoreStatus.NEW, shards=4)
    async with Runtime.local(chores, records=records) as runtime:
        assert await count_of(runtime.store) == 4
        await runtime.scale(chores, ChoreStatus.NEW, shards=None)
        assert await count_of(runtime.store) == 1
        await asyncio.wait_for((await runtime.client(chores).trigger("one", Chore())).wait(), 30)
