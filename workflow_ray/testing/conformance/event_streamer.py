"""All that an EventStreamer must do."""

import pytest

from workflow_ray.ports import EventStreamer
from workflow_ray.testing.conformance.offsets import OffsetCases
from workflow_ray.testing.conformance.receives import ReceiveCases
from workflow_ray.testing.conformance.sends import SendCases
from workflow_ray.testing.conformance.streams import TOPICS


class EventStreamerConformance(SendCases, OffsetCases, ReceiveCases):
    """For a `store` that is an EventStreamer. Uses `another`.

    OutboxMoverConformance covers a streamer that also holds the outbox and the records. An
    adapter's own tests cover events that it can't send or no longer keeps, because only they can
    cause that.
    """

    @pytest.fixture(autouse=True)
    async def prepared(self, store: EventStreamer) -> None:
        await store.prepare(TOPICS)
