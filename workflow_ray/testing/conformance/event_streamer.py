"""All that an EventStreamer must do."""

import pytest

from workflow_ray.ports import EventStreamer
from workflow_ray.testing.conformance.offsets import OffsetCases
from workflow_ray.testing.conformance.receives import ReceiveCases
from workflow_ray.testing.conformance.sends import SendCases
from workflow_ray.testing.conformance.streams import TOPICS


class EventStreamerConformance(SendCases, OffsetCases, ReceiveCases):
    """For a `store` that is an EventStreamer, and uses `another`.

    What it does with an outbox and records of its own is OutboxMoverConformance. What an adapter
    does about events that it can't send, or keeps no longer, is for its own tests: only they can
    bring that about.
    """

    @pytest.fixture(autouse=True)
    async def prepared(self, store: EventStreamer) -> None:
        await store.prepare(TOPICS)
