"""What every adapter must do, as tests. An adapter's own test file holds subclasses with a `store` fixture, and no more:

    class TestMyStore(RecordStoreConformance, EventStreamerConformance, RoleSchedulerConformance, OutboxMoverConformance):
        @pytest.fixture
        async def store(self, clock: FakeClock) -> AsyncIterator[Store]:
            async with my_store(clock) as store:
                yield store

Each test gets a new, empty store, by a `clock` that stands still. The tests are async: pytest-asyncio's mode must be `auto`.
"""

from pkgutil import iter_modules

import pytest

# Before the imports below, so that a case that fails shows its values.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from workflow_ray.testing.conformance.event_streamer import EventStreamerConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.outbox_mover import OutboxMoverConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.record_store import RecordStoreConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.role_scheduler import RoleSchedulerConformance  # noqa: E402 - see above

__all__ = ["EventStreamerConformance", "OutboxMoverConformance", "RecordStoreConformance", "RoleSchedulerConformance"]
