"""Where a new holder of a role begins in a partition, and which events are in doubt."""

from dataclasses import dataclass

from workflow_ray.records import Fence, Position

UNKNOWN = ""
"""The log of a position that an earlier version of workflow_ray wrote: it is the current log."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The events that an earlier holder, which did not release the partition, may have run."""

    # The earlier holder. A holder that stops before everything is tried writes it to `in_use`.
    holder: Fence
    begun: int  # no event at or beyond this offset was given to user code
    # the offsets that were tried together when that holder, or a later one, died
    suspects: frozenset[int]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a holder begins, and what is in doubt."""

    offset: int
    incarnation: int = 0
    in_doubt: InDoubt | None = None


def start(stored: Position | None, fence: Fence, log: str) -> Start:
    """Decide where the holder of a fence begins in a partition.

    If the row names the same fence, the same process wrote it: its role raised an error and starts
    again. Then nothing is in doubt.
    """
    if stored is None or stored.log not in (log, UNKNOWN):
        return Start(0)
    held_by_another = stored.in_use is not None and stored.in_use != fence
    if stored.in_use is None or not held_by_another or stored.begun <= stored.offset:
        return Start(stored.offset, stored.incarnation)
    suspects = frozenset(
        offset for offset in stored.trying if stored.offset <= offset < stored.begun
    )
    return Start(stored.offset, stored.incarnation, InDoubt(stored.in_use, stored.begun, suspects))
