"""Two adapters that were written outside of the tree: installed as anybody's would be, and found by their entry points alone."""

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from workflow_ray.errors import UnfitAdapter
from workflow_ray.ports import EventStreamer, Records, TimeoutStore, events_adapter, records_adapter, timeouts_adapter
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    EventStreamerConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)

TOYS = Path(__file__).parents[1] / "toys"
INSTALL = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
UNBREAKABLE = {Capability.FAULTS: "it talks to nobody: a file is changed in one piece, and there is no connection to break"}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that both are installed into."""
    folder = tmp_path_factory.mktemp("toys")
    subprocess.run([sys.executable, *INSTALL, f"--target={folder}", TOYS / "records", TOYS / "stream"], check=True)
    return folder


@pytest.fixture(autouse=True)
def installed(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(toys), *sys.path])
    importlib.invalidate_caches()


class TestToyRecords(RecordStoreConformance, RoleSchedulerConformance):
    lacks = UNBREAKABLE

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"toyrecords://{tmp_path}/records"

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[Records]:
        adapter = records_adapter(url)
        adapter.create(url)
        async with adapter.open_records(url, clock=clock, exclusive=False) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, store: Records, clock: FakeClock) -> Another:
        return lambda: records_adapter(url).open_records(url, clock=clock, exclusive=False)


class TestToyTimeouts(TimeoutStoreConformance):
    lacks = UNBREAKABLE

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"toyrecords://{tmp_path}/timeouts"

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[TimeoutStore]:
        adapter = timeouts_adapter(url)
        adapter.create(url)
        async with adapter.open_timeouts(url, clock=clock) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, store: TimeoutStore, clock: FakeClock) -> Another:
        return lambda: timeouts_adapter(url).open_timeouts(url, clock=clock)


class TestToyStream(EventStreamerConformance):
    lacks = UNBREAKABLE

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"toystream://{tmp_path}/events"

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[EventStreamer]:
        adapter = events_adapter(url)
        adapter.create(url)
        async with adapter.open_events(url, clock=clock) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, store: EventStreamer, clock: FakeClock) -> Another:
        return lambda: events_adapter(url).open_events(url, clock=clock)


def test_a_toy_is_refused_for_what_it_does_not_hold(tmp_path: Path) -> None:
    with pytest.raises(UnfitAdapter, match="toyrecords: it holds no events"):
        events_adapter(f"toyrecords://{tmp_path}/records")
    with pytest.raises(UnfitAdapter, match="toystream: it holds no records"):
        records_adapter(f"toystream://{tmp_path}/events")
