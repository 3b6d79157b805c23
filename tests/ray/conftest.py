"""One Ray head for the session, in a folder of its own; one deployment for each test."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from tests.ray.fakes import SILENT, FakeRegistry, orders
from tests.ray.flows import Parcel, ParcelStatus, parcels
from workflow_ray import Client, RunState, connect
from workflow_ray.errors import StoreMissing, UnknownWorkflow
from workflow_ray.records import Deployment as Target
from workflow_ray.runtime.ray import cluster
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.control import find_running
from workflow_ray.runtime.ray.head import HOME, local_head
from workflow_ray.runtime.ray.supervision import Supervision

PATIENCE = 30.0
POLL = 0.05
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Deployment:
    """The records of a test, which have a namespace of their own."""

    records: str

    async def actors(self) -> dict[str, ActorStatus]:
        """Return its actors by name."""
        control = await find_running(self.records)
        return {one.name: one for one in await control.status()} if control else {}

    async def prepare(self, group: str, shards: int) -> None:
        """Start the actors of a group's next shard count."""
        control = await find_running(self.records)
        assert control is not None
        await control.prepare(group, shards)

    async def pids(self, other_than: int | None = None) -> dict[str, int]:
        """Return its actors' processes by name, once all run, and none in `other_than`."""
        pids: dict[str, int] = {}

        async def all_run() -> bool:
            found = await self.actors()
            pids.clear()
            pids.update(
                (name, one.pid)
                for name, one in found.items()
                if one.is_running and one.pid and one.pid != other_than
            )
            return pids.keys() == found.keys()

        await eventually(all_run, "some actor doesn't run")
        return pids

    async def has_runs(self) -> bool:
        """Whether any parcel exists."""
        with suppress(StoreMissing, UnknownWorkflow):
            async with connect(parcels, records=self.records) as client:
                return bool(await client.counts())
        return False

    @contextmanager
    def driver(self, runs: int, *, gated: bool = False) -> Generator[Popen[str], None, None]:
        """Start a driver in a process of its own. It is killed at the end."""
        command = [
            sys.executable,
            "-m",
            "tests.ray.driver",
            self.records,
            str(runs),
            *["gated"] * gated,
        ]
        with Popen(command, cwd=ROOT, stdin=PIPE, bufsize=1, text=True) as process:
            try:
                yield process
            finally:
                process.kill()
                assert process.stdin is not None
                with suppress(BrokenPipeError):  # it has ended before it read the last line
                    process.stdin.close()


@pytest.fixture(scope="session")
def ray_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ[HOME] = str(tmp_path_factory.mktemp("ray"))
    cluster.connect(None)
    yield
    cluster.disconnect()
    local_head().stop()
    del os.environ[HOME]


@pytest.fixture
async def deployment(ray_head: None, tmp_path: Path) -> AsyncIterator[Deployment]:
    deployment = Deployment(f"sqlite:///{tmp_path}/records.db")
    yield deployment
    await down(deployment.records)


@pytest.fixture
def registry() -> FakeRegistry:
    """A registry whose deployment has one workflow with one step."""
    return FakeRegistry(Target(store_id="s", version=1, workflows=(orders(),)))


@pytest.fixture
async def supervision(registry: FakeRegistry) -> AsyncIterator[Supervision]:
    """A supervision that has just begun."""
    supervision = Supervision(registry, silent=SILENT)
    yield supervision
    await supervision.shutdown(deadline=0.0)


async def down(records: str) -> bool:
    """End what runs on Ray for these records. Returns whether anything did."""
    control = await find_running(records)
    if control:
        await control.down(deadline=5.0)
    return control is not None


async def eventually(
    condition: Callable[[], Awaitable[bool]], otherwise: str, patience: float = PATIENCE
) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(patience):
        try:
            while not await condition():
                await asyncio.sleep(POLL)
        except asyncio.CancelledError as error:
            raise AssertionError(otherwise) from error


async def ended(pids: Iterable[int]) -> bool:
    """Whether these processes are gone. A zombie counts as gone."""
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    with suppress(FileNotFoundError, ProcessLookupError):
        return all(
            not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
            for state in states
        )
    return False


async def check_history(client: Client[Parcel, ParcelStatus], runs: int) -> None:
    """Check that so many runs are completed, that each step was committed once, and that the
    history has each version exactly once.
    """
    found = [run async for run in client.runs()]
    assert len(found) == len({run.foreign_id for run in found}) == runs
    for run in found:
        assert (run.run_state, run.data.steps) == (RunState.COMPLETED, ["weigh", "pack", "send"])
        entries = await client.handle(run.run_id).history()
        assert [entry.version for entry in entries] == list(range(1, run.version + 1))
        arrived = [
            entry.status for before, entry in pairwise(entries) if before.status is not entry.status
        ]
        assert arrived == [ParcelStatus.WEIGHED, ParcelStatus.PACKED, ParcelStatus.SENT]
