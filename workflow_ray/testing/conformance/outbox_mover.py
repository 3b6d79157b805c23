"""All that an OutboxMover must do: a store that holds records, outbox and stream together."""

from workflow_ray.testing.conformance.move_waits import MoveWaitCases
from workflow_ray.testing.conformance.moves import MoveCases
from workflow_ray.testing.conformance.timed_writes import TimedWriteCases
from workflow_ray.testing.conformance.trims import TrimCases


class OutboxMoverConformance(MoveCases, MoveWaitCases, TimedWriteCases, TrimCases):
    """For a `store` that is a Store and an OutboxMover. Uses `another` and `fragile`."""
