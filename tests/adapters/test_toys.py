"""Two adapters that live outside of the package.

They are installed like anybody's, and found by their entry points only.
"""

import importlib
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from examples.orders import orders
from examples.orders.generate import generate
from workflow_ray import RunState, Runtime, Trigger
from workflow_ray.errors import UnfitAdapter
from workflow_ray.ports import (
    Clock,
    EventStreamer,
    Records,
    TimeoutStore,
    adapter_for,
    events_adapter,
    records_adapter,
    timeouts_adapter,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    Conformance,
    EventStreamerConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)

TOYS = Path(__file__).parents[1] / "toys"
INSTALL = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-index",
    "--no-deps",
    "--no-build-isolation",
    "--disable-pip-version-check",
)
LACKS = {
    Capability.FAULTS: (
        "a file is changed in one piece, and it has no connection that could break"
    ),
    Capability.DURABILITY: (
        "a crash of the machine loses what was not on its disk yet; a process's loses nothing"
    ),
}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both toys installed."""
    folder = tmp_path_factory.mktemp("toys")
    subprocess.run(
        [sys.executable, *INSTALL, f"--target={folder}", TOYS / "records", TOYS / "stream"],
        check=True,
    )
    return folder


@pytest.fixture(autouse=True)
def installed(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(toys), *sys.path])
    importlib.invalidate_caches()


class Toy(Conformance, ABC):
    """A subclass says what is opened, and by which URL."""

    lacks = LACKS
    scheme: ClassVar = "toyrecords"

    @abstractmethod
    def open(self, url: str, clock: Clock) -> AbstractAsyncContextManager[Any]: ...

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"{self.scheme}://{tmp_path}/toy"

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[Any]:
        adapter_for(url).create(url)
        async with self.open(url, clock) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, store: object, clock: FakeClock) -> Another:
        return lambda: self.open(url, clock)


class TestToyRecords(Toy, RecordStoreConformance, RoleSchedulerConformance):
    def open(self, url: str, clock: Clock) -> AbstractAsyncContextManager[Records]:
        return records_adapter(url).open_records(url, clock=clock, exclusive=False)


class TestToyTimeouts(Toy, TimeoutStoreConformance):
    def open(self, url: str, clock: Clock) -> AbstractAsyncContextManager[TimeoutStore]:
        return timeouts_adapter(url).open_timeouts(url, clock=clock)


class TestToyStream(Toy, EventStreamerConformance):
    scheme = "toystream"

    def open(self, url: str, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        return events_adapter(url).open_events(url, clock=clock)


async def test_a_workflow_runs_with_records_in_one_toy_and_events_in_the_other(
    tmp_path: Path,
) -> None:
    records, events = f"toyrecords://{tmp_path}/records", f"toystream://{tmp_path}/events"
    async with Runtime.local(orders, records=records, events=events) as runtime:
        client = runtime.client(orders)
        answers = await client.trigger_many(
            Trigger(key, order) for key, order in generate(20, seed=7)
        )
        for handle, _ in answers:
            run = await handle.wait(timeout=timedelta(seconds=30))
            assert run.run_state is RunState.COMPLETED
            assert [entry.version for entry in await handle.history()] == list(
                range(1, run.version + 1)
            )
    assert any((tmp_path / "events").glob("orders-1-*.events"))


def test_a_toy_is_refused_for_a_port_that_it_does_not_implement(tmp_path: Path) -> None:
    with pytest.raises(UnfitAdapter, match="toyrecords: it holds no events"):
        events_adapter(f"toyrecords://{tmp_path}/records")
    with pytest.raises(UnfitAdapter, match="toystream: it holds no records"):
        records_adapter(f"toystream://{tmp_path}/events")
