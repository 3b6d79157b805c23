"""The memory adapter: the conformance suites, and its own rules."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import ClassVar

import pytest

from workflow_ray.errors import InvalidInput, StoreInUse, StoreMismatch, StoreMissing
from workflow_ray.ports import (
    SourceReader,
    Store,
    events_adapter,
    records_adapter,
    timeouts_adapter,
)
from workflow_ray.records import Event, Shared, Timeout, TimeoutKey, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    ConnectorSourceConformance,
    EventStreamerConformance,
    OutboxMoverConformance,
    Put,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)
from workflow_ray.testing.conformance.base import begin, result_at_timeout, result_of
from workflow_ray.testing.conformance.runs import (
    CREATED,
    CREATED_TOPIC,
    acquire,
    event,
    events_of,
    new_run,
    received,
    store_all,
    stored,
    stored_run,
)
from workflow_ray_adapters.memory import MemoryAdapter, MemorySource, MemoryStore


class TestMemoryStore(
    RecordStoreConformance,
    EventStreamerConformance,
    TimeoutStoreConformance,
    RoleSchedulerConformance,
    OutboxMoverConformance,
):
    lacks: ClassVar = {
        Capability.FAULTS: (
            "it is in this process: it has no connection that could break, and nothing comes"
            " between its steps"
        )
    }

    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> str:
        url = f"memory://{request.node.nodeid}"
        MemoryAdapter().create(url)
        return url

    @pytest.fixture
    async def store(self, url: str, clock: FakeClock) -> AsyncIterator[Store]:
        async with MemoryAdapter().open_records(url, clock=clock, exclusive=False) as store:
            yield store

    @pytest.fixture
    def another(self, url: str, clock: FakeClock) -> Another:
        return lambda: MemoryAdapter().open_records(url, clock=clock, exclusive=False)


class TestMemorySource(ConnectorSourceConformance):
    @pytest.fixture
    def log(self, request: pytest.FixtureRequest) -> MemorySource:
        return MemorySource(request.node.nodeid, partitions=2)

    @pytest.fixture
    async def source(self, log: MemorySource, clock: FakeClock) -> AsyncIterator[SourceReader]:
        async with log.open(clock=clock, events="memory://shop") as source:
            yield source

    @pytest.fixture
    def put(self, log: MemorySource) -> Put:
        async def put(
            partition: int, data: bytes, *, key: str = "", headers: Mapping[str, str] | None = None
        ) -> None:
            log.put(data, partition=partition, key=key, headers=headers)

        return put


class TestRecordsAndEventsApart:
    async def test_events_published_to_another_store_are_received_without_their_runs(self) -> None:
        clock = FakeClock()
        records, events = MemoryStore(clock), MemoryStore(clock)
        fence, run = await acquire(records), new_run(events=[event()])
        await store_all(records, run)
        pending = await records.pending(fence, limit=10, wait=0)
        await events.send(events_of(pending))
        await records.published(fence, [entry.id for entry in pending])
        (item,) = await received(events)
        assert (item.event.run_id, item.record) == (run.run_id, None)
        assert await received(records) == []


class TestDelayed:
    async def test_delayed_lists_the_events_that_are_not_due_yet(self) -> None:
        clock = FakeClock()
        store = MemoryStore(clock)
        fence = await acquire(store)
        late, soon, now = (new_run(events=[event(delay=delay)]) for delay in (60, 30, 0))
        await store_all(store, late, soon, now)
        assert [item.run_id for item in events_of(store.delayed())] == [soon.run_id, late.run_id]
        await clock.advance(timedelta(seconds=30))
        assert [item.run_id for item in events_of(store.delayed())] == [late.run_id]
        await clock.advance(timedelta(seconds=30))
        await store.move(fence, limit=10, wait=0)
        assert store.delayed() == []


class TestMemoryAdapter:
    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> str:
        return f"memory://{request.node.name}"

    async def test_a_store_is_kept_by_its_name(self, url: str) -> None:
        adapter, clock = records_adapter(url), FakeClock()
        store_id = adapter.create(url)
        async with adapter.open_records(url, clock=clock, store_id=store_id) as store:
            record = await stored_run(store)
        assert MemoryAdapter().create(url) == store_id
        async with MemoryAdapter().open_records(url, clock=clock, exclusive=False) as store:
            assert await stored(store, record.run_id) == record

    @pytest.mark.parametrize(
        "spelling", ["memory://shop", "MEMORY://shop", "memory:shop", "memory://shop/"]
    )
    def test_a_store_has_one_canonical_name(self, spelling: str) -> None:
        assert MemoryAdapter().canonical(spelling) == "memory://shop"

    @pytest.mark.parametrize("url", ["memory://", "memory:", "memory:///"])
    def test_a_store_without_a_name_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidInput, match="memory://shop"):
            MemoryAdapter().create(url)

    def test_the_adapter_is_not_shared_by_several_processes(self) -> None:
        assert not records_adapter("memory://shop").shared

    async def test_events_and_timeouts_are_kept_by_the_same_names(self, url: str) -> None:
        MemoryAdapter().create(url)
        clock = FakeClock()
        async with (
            events_adapter(url).open_events(url, clock=clock) as events,
            timeouts_adapter(url).open_timeouts(url, clock=clock) as timeouts,
        ):
            sent = Event(
                run_id=new_run_id(),
                topic=CREATED_TOPIC,
                partition=0,
                version=Version(1),
                status=CREATED,
            )
            timeout = Timeout(
                key=TimeoutKey(sent.run_id, Version(1), "late"),
                workflow="orders",
                status=1,
                partition=0,
                due_at=clock.now(),
            )
            await events.send([sent])
            await timeouts.create([timeout])
        async with MemoryAdapter().open_records(url, clock=clock) as store:
            assert [item.event for item in await received(store)] == [sent]
            assert await store.due("orders", 1, [0], limit=10, wait=0) == [timeout]

    @pytest.mark.parametrize("open_", [MemoryAdapter().open_events, MemoryAdapter().open_timeouts])
    async def test_opening_events_or_timeouts_never_creates_a_store(
        self, url: str, open_: Callable[..., AbstractAsyncContextManager[Store]]
    ) -> None:
        with pytest.raises(StoreMissing):
            async with open_(url, clock=FakeClock()):
                pass

    async def test_a_store_that_is_open_exclusively_shares_no_roles(self, url: str) -> None:
        adapter, clock = MemoryAdapter(), FakeClock()
        adapter.create(url)
        async with (
            adapter.open_records(url, clock=clock),
            adapter.open_records(url, clock=clock, exclusive=False) as other,
        ):
            with pytest.raises(StoreInUse):
                await other.share("a", [], [], lease=30)
            assert (await other.activity()).is_served
        async with adapter.open_records(url, clock=clock, exclusive=False) as other:
            assert await other.share("a", [], [], lease=30) == Shared()
            assert not (await other.activity()).is_served

    async def test_opening_records_never_creates_a_store(self, url: str) -> None:
        with pytest.raises(StoreMissing):
            async with MemoryAdapter().open_records(url, clock=FakeClock()):
                pass

    async def test_a_store_with_another_id_is_refused(self, url: str) -> None:
        MemoryAdapter().create(url)
        with pytest.raises(StoreMismatch):
            async with MemoryAdapter().open_records(url, clock=FakeClock(), store_id="another"):
                pass

    async def test_a_second_exclusive_opening_waits_for_the_first_to_close(self, url: str) -> None:
        adapter, clock = MemoryAdapter(), FakeClock()
        adapter.create(url)
        async with adapter.open_records(url, clock=clock):
            second = await begin(clock, open_and_close(adapter, url, clock))
        await result_of(second)

    async def test_a_second_exclusive_opening_fails_when_its_patience_ends(self, url: str) -> None:
        adapter, clock = MemoryAdapter(), FakeClock()
        adapter.create(url)
        async with (
            adapter.open_records(url, clock=clock),
            adapter.open_records(url, clock=clock, exclusive=False),
        ):
            second = await begin(clock, open_and_close(adapter, url, clock))
            with pytest.raises(StoreInUse):
                await result_at_timeout(clock, second, seconds=5)


async def open_and_close(adapter: MemoryAdapter, url: str, clock: FakeClock) -> None:
    """Open the store exclusively, with 5 seconds of patience, and close it again."""
    async with adapter.open_records(url, clock=clock, patience=5):
        pass
