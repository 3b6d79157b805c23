"""No limit of flow control is ever exceeded, whatever becomes of the role that admits runs.

On SQLite the worker is started again. On PostgreSQL another one takes over.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.end_to_end.deliveries import RATE, SLOTS, SLOTS_OF_TENANT, At, Delivery, deliveries
from tests.end_to_end.workers import POLL, WorkerProcess, worker_of, workers
from tests.slots import most_at_once, most_in
from workflow_ray import Client, RunState, Trigger, connect
from workflow_ray.ports import RecordStore, SystemClock, records_adapter
from workflow_ray.records import Cause, HistoryEntry, admission_group
from workflow_ray.runtime.scaling import scale

LEASE = 2.0
RUNS = 60
TENANTS = ("large", "middle", "small")
MORE = 9
SOON = timedelta(seconds=120)
pytestmark = pytest.mark.timeout(300)


@dataclass
class Yard:
    """Workers on one store, and a client."""

    workers: list[WorkerProcess]
    client: Client[Delivery, At]
    records: RecordStore

    async def admitted(self, status: At, runs: int) -> None:
        """Wait until so many runs have left the status."""
        async with asyncio.timeout(SOON.total_seconds()):
            while (
                sum(
                    count
                    for (at, _), count in (await self.client.counts()).items()
                    if isinstance(at, At) and at.value > status.value
                )
                < runs
            ):
                await asyncio.sleep(POLL)

    async def kill_admission(self) -> None:
        """Kill the worker that admits runs, and start another in its place."""
        worker = self.workers[0] if len(self.workers) == 1 else await self._holder()
        await worker.kill()
        await worker.start()

    async def _holder(self) -> WorkerProcess:
        role = f"{admission_group('deliveries')}-1-of-1"
        async with asyncio.timeout(60):
            while True:
                for holder in (await self.records.activity()).holders:
                    found = re.fullmatch(r".+-(\d+)-[0-9a-f]+", holder.worker)
                    if holder.role == role and found:
                        return worker_of(int(found[1]), self.workers)
                await asyncio.sleep(POLL)

    async def histories(self) -> dict[str, list[list[HistoryEntry]]]:
        """The histories of all runs, by tenant."""
        found: dict[str, list[list[HistoryEntry]]] = defaultdict(list)
        async for run in self.client.runs():
            found[run.data.tenant].append(await self.records.history(run.run_id))
        return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def yard(url: str, folder: Path) -> AsyncGenerator[Yard]:
    count = 1 if url.startswith("sqlite") else 2
    module = "tests.end_to_end.deliveries"
    async with (
        workers(count, folder / "journal", LEASE, url, module=module) as some,
        connect(deliveries, records=url) as client,
        records_adapter(url).open_records(url, clock=SystemClock(), exclusive=False) as records,
    ):
        yield Yard(some, client, records)


async def trigger(client: Client[Delivery, At]) -> list[str]:
    """Start the runs of the large tenant first, and those of the small one last."""
    triggers: list[Trigger[Delivery, At]] = [
        Trigger(f"{tenant}-{number}", Delivery(tenant=tenant, number=number))
        for tenant in TENANTS
        for number in range(RUNS if tenant == "large" else RUNS // 3)
    ]
    return [handle.run_id for handle, _ in await client.trigger_many(triggers)]


async def test_limits_hold_though_the_role_is_killed_and_shards_and_limits_change(
    url: str, tmp_path: Path
) -> None:
    async with yard(url, tmp_path) as here:
        run_ids = await trigger(here.client)
        await here.admitted(At.QUEUED, 10)
        await here.kill_admission()
        await here.admitted(At.QUEUED, 30)
        await scale(here.records, "deliveries", At.QUEUED.value, shards=4)
        await here.kill_admission()
        await here.admitted(At.QUEUED, 50)
        raised_at = datetime.now(UTC)
        await here.client.set_limits(At.QUEUED, concurrency=MORE, concurrency_per_key=MORE)
        await here.kill_admission()
        for run_id in run_ids:
            run = await here.client.handle(run_id).wait(timeout=SOON)
            assert (run.run_state, run.status) == (RunState.COMPLETED, At.SENT)
        by_tenant = await here.histories()
        histories = [history for found in by_tenant.values() for history in found]
        check_queue(by_tenant, raised_at)
        period = timedelta(seconds=RATE.stored.seconds)
        assert 0 < most_in(histories, At.LOADED.value, period) <= RATE.count
        for history in histories:
            assert [entry.version for entry in history] == list(range(1, len(history) + 1))
            causes = [entry.cause for entry in history]
            assert causes.count(Cause.ADMITTED) == 2
            assert causes.count(Cause.STEP) == 2
        limits = {each.status: each for each in await here.client.limits()}
        assert (limits["QUEUED"].admitted, limits["QUEUED"].waiting) == (0, 0)


def check_queue(by_tenant: dict[str, list[list[HistoryEntry]]], raised_at: datetime) -> None:
    """Check that the limits held, before the operator has raised them and after that."""
    histories = [history for found in by_tenant.values() for history in found]
    before = [_until(history, raised_at) for history in histories]
    status = At.QUEUED.value
    assert most_at_once(before, status) == SLOTS
    assert SLOTS < most_at_once(histories, status) <= MORE
    for found in by_tenant.values():
        early = [_until(history, raised_at) for history in found]
        assert most_at_once(early, status) <= SLOTS_OF_TENANT


def _until(history: Sequence[HistoryEntry], time: datetime) -> list[HistoryEntry]:
    return [entry for entry in history if entry.at < time]
