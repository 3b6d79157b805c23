"""Positions: what a group has finished in a partition of a log, and what is in doubt."""

import msgspec

from workflow_ray.records.role import Fence


class Position(msgspec.Struct, frozen=True, gc=False):
    """The position of one group in one partition. `RecordStore.store` says how a store merges it
    with the stored one.

    A holder that ends without a release may have been running the events from `offset` up to
    `begun`: these are in doubt for the next holder. Events at or beyond `begun` were never handed
    to user code.
    """

    group: str
    partition: int
    offset: int  # the committed position: all events below it are finished or parked
    begun: int = 0  # events below it may have been handed to user code; 0: none were
    # the offsets in doubt that a recovering holder runs together now, ascending
    trying: tuple[int, ...] = ()
    # the `stream_id` of the log that the offsets count in; "" for a group that reads no log
    log: str = ""
    # goes up by one whenever the log turns out to be a new one: it lost its tail, or was made again
    incarnation: int = 0
    in_use: Fence | None = None
    """The holder that has not released the partition. A holder that stops before it has tried
    everything that is in doubt puts the earlier holder back.
    """
