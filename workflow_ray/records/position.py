"""How far a group has come in a partition of a log, and what its holder may have been running."""

import msgspec

from workflow_ray.records.role import Fence


class Position(msgspec.Struct, frozen=True, gc=False):
    """The row of one group and one partition. A store keeps it as it was written last, within the
    rules of `RecordStore.store`.

    A holder that ends without a release may have been running the events from `offset` up to
    `begun`: these are in doubt for the next holder. Nothing at or beyond `begun` was ever handed to
    user code.
    """

    group: str
    partition: int
    offset: int  # the committed position: below it everything is finished or parked
    begun: int = 0  # events below this offset may have been handed to user code; 0: none was
    # offsets in doubt that a recovering holder runs together right now, ascending
    trying: tuple[int, ...] = ()
    # the `stream_id` of the log that the offsets count in; "" for a group that reads no log
    log: str = ""
    # goes up by one whenever that log turns out to be another one: it lost its tail, or was made
    # again
    incarnation: int = 0
    in_use: Fence | None = None
    """The holder that has not released the partition.

    One that stops before all in doubt is tried puts the earlier holder back.
    """
