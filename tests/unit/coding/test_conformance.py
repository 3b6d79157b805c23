"""The conformance suites on a store with codecs: it behaves as one without."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import ClassVar, cast

import pytest

from tests.unit.codecs.keys_in_memory import KeysInMemory
from workflow_ray import ClaimChecks, Codec, Compression, Encryption, new_key
from workflow_ray.coding.chains import Chain, Chains
from workflow_ray.coding.store import CodingStreamStore
from workflow_ray.ports import RecordStore, Store
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance import (
    Another,
    Capability,
    EventStreamerConformance,
    OutboxMoverConformance,
    RecordStoreConformance,
    RoleSchedulerConformance,
    TimeoutStoreConformance,
)
from workflow_ray.testing.conformance.base import MovingStore
from workflow_ray.testing.conformance.runs import (
    acquire,
    event,
    new_run,
    received,
    store_all,
)
from workflow_ray_adapters.memory import MemoryAdapter

MIB = 1024 * 1024
WORKFLOWS = ("orders", "invoices", "parcels", "order", "naïve_orders")

AFTER_A_DELETION = """\
The key of a run is deleted after the commit of a write that erases, and with it what a later
version holds that was written before that. No role writes data after a deletion."""


class WithoutDigests(Encryption):
    """Digests are stored as they are. With a key a caller gets its own ones back, and of others
    only that they differ: see test_idempotency_keys.
    """

    def digests(self, digest: bytes) -> Sequence[bytes]:
        return ()


class TestStoreWithCodecs(
    RecordStoreConformance,
    EventStreamerConformance,
    TimeoutStoreConformance,
    RoleSchedulerConformance,
    OutboxMoverConformance,
):
    lacks: ClassVar = {
        Capability.FAULTS: "it is in memory: it has no connection that could break",
        Capability.DURABILITY: "it is in memory",
    }

    async def test_versions_that_the_same_call_has_written_are_cleared_too(
        self, store: RecordStore
    ) -> None:
        pytest.skip(AFTER_A_DELETION)  # see there

    async def test_a_write_that_is_repeated_erases_nothing(self, store: RecordStore) -> None:
        pytest.skip(AFTER_A_DELETION)  # see there

    @pytest.fixture
    def chains(self, tmp_path: Path) -> Chains:
        codecs: list[Codec] = [
            Compression(above=100),
            WithoutDigests([new_key("one")], run_keys=KeysInMemory()),
            ClaimChecks(f"file://{tmp_path}/claims", above=1000),
        ]
        return Chains("orders", {name: Chain(name, codecs) for name in WORKFLOWS})

    @pytest.fixture
    def another(self, request: pytest.FixtureRequest, clock: FakeClock, chains: Chains) -> Another:
        url = f"memory://{request.node.nodeid}"
        MemoryAdapter().create(url)

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Store]:
            async with MemoryAdapter().open_records(url, clock=clock, exclusive=False) as store:
                yield cast(Store, CodingStreamStore(store, chains))

        def again() -> AbstractAsyncContextManager[Store]:
            return opened()

        return again

    @pytest.fixture
    async def store(self, another: Another) -> AsyncIterator[Store]:
        async with another() as store:
            yield store

    async def test_a_batch_is_bounded_by_its_data(self, store: MovingStore) -> None:
        """The store counts encoded bytes. What is too much when it is decoded is looked up later,
        so the events come without their records.
        """
        fence = await acquire(store)
        runs = [new_run(data=b"x" * MIB, events=[event(at % 4)]) for at in range(12)]
        await store_all(store, *runs)
        await store.move(fence, limit=100, wait=0)
        batch = await received(store)
        known = [item.record for item in batch if item.record is not None]
        assert {item.event.run_id for item in batch} == {run.run_id for run in runs}
        assert len(known) == 9
        assert all(record.data == b"x" * MIB for record in known)
        assert [item.record for item in batch[9:]] == [None] * 3
