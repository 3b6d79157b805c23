"""What every adapter must do, as tests, one suite for each port. An adapter's own test file holds
subclasses, and no more:

    class TestMyStore(RecordStoreConformance, RoleSchedulerConformance):
        lacks: ClassVar = {Capability.FAULTS: "it talks to nobody: it has no connection to break"}

        @pytest.fixture
        async def store(self, clock: FakeClock) -> AsyncIterator[Records]:
            my_adapter.create(URL)
            async with my_adapter.open_records(URL, clock=clock, exclusive=False) as store:
                yield store

        @pytest.fixture
        def another(self, store: Records, clock: FakeClock) -> Another:
            return lambda: my_adapter.open_records(URL, clock=clock, exclusive=False)

The fixtures that a subclass brings:

store    a new, empty store, open by the `clock`, which stands still; not exclusively, or its roles
couldn't be shared. What it must be
         the suite's docstring says.
another  opens the same store once more, by the same clock, as another process beside the first
would. fragile  a further such opening (see `Fragile`), through something that a test can break in
the middle of a transaction.
         For a server that is a `workflow_ray.testing.faults.FaultyProxy`, and `Proxied` puts the
         two together.

Who can't bring `another` or `fragile` says so in `lacks`, as with whatever else a `Capability`
names: the cases that need it are then
reported as skipped, in the words "lacks <capability>: <reason>". Where neither is there they fail.
The tests are async: pytest-asyncio's mode must be `auto`.
"""

from pkgutil import iter_modules

import pytest

# Before the imports below, so that a case that fails shows its values.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from workflow_ray.testing.conformance.base import Another, Capability, Conformance, Fragile, Proxied  # noqa: E402 - see above
from workflow_ray.testing.conformance.connector_source import ConnectorSourceConformance, Put  # noqa: E402 - see above
from workflow_ray.testing.conformance.event_streamer import EventStreamerConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.outbox_mover import OutboxMoverConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.record_store import RecordStoreConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.role_scheduler import RoleSchedulerConformance  # noqa: E402 - see above
from workflow_ray.testing.conformance.timeout_store import TimeoutStoreConformance  # noqa: E402 - see above

__all__ = [
    "Another",
    "Capability",
    "Conformance",
    "ConnectorSourceConformance",
    "EventStreamerConformance",
    "Fragile",
    "OutboxMoverConformance",
    "Proxied",
    "Put",
    "RecordStoreConformance",
    "RoleSchedulerConformance",
    "TimeoutStoreConformance",
]
