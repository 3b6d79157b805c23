"""Tests of everything that an adapter must do: one suite for each port.

An adapter's own test file contains only subclasses:

    class TestMyStore(RecordStoreConformance, RoleSchedulerConformance):
        lacks: ClassVar = {Capability.FAULTS: "it has no connection that could break"}

        @pytest.fixture
        async def store(self, clock: FakeClock) -> AsyncIterator[Records]:
            my_adapter.create(URL)
            async with my_adapter.open_records(URL, clock=clock, exclusive=False) as store:
                yield store

        @pytest.fixture
        def another(self, store: Records, clock: FakeClock) -> Another:
            return lambda: my_adapter.open_records(URL, clock=clock, exclusive=False)

The fixtures that a subclass defines:

store    a new, empty store, opened with the `clock`, which stands still. It must not be opened
         exclusively, because its roles are shared. The suite's docstring says which port it is.
another  opens the same store again with the same clock, as another process would.
fragile  another opening of the store, over a connection that tests can break in the middle of a
         transaction (see `Fragile`). For a server, `Proxied` makes it of a store and a
         `workflow_ray.testing.faults.FaultyProxy`.

An adapter that can't define `another` or `fragile` says so in `lacks`, as it does for each other
`Capability` that it lacks. The cases that need the capability are then reported as skipped, as
"lacks <capability>: <reason>". Without the fixture and the reason they fail.

The tests are async: pytest-asyncio's mode must be `auto`.
"""

from pkgutil import iter_modules

import pytest

# This precedes the imports below, so that a case that fails shows its values.
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
