"""Where a new holder of a role begins in a partition, and what is in doubt there."""

from dataclasses import dataclass

from workflow_ray.records import Fence, Position

UNKNOWN = ""
"""The log of positions that were written before positions named theirs: it is the one that is read.
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Events that an earlier holder, which did not release the partition, may have been running."""

    # That holder. Whoever stops before all of this is tried puts it back into the row's `in_use`.
    holder: Fence
    begun: int  # nothing at or beyond this offset was handed to user code
    # Offsets that were tried together when that holder, or a later one, died
    suspects: frozenset[int]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin."""

    offset: int
    incarnation: int = 0
    doubt: Doubt | None = None


def start(stored: Position | None, fence: Fence, log: str) -> Start:
    """Where the holder of `fence` begins in a partition of the log `log`, given its row.

    A row that names the same fence was written by the same process, whose role raised and restarts:
    nothing is in doubt.
    """
    if stored is None or stored.log not in (log, UNKNOWN):
        return Start(0)
    held_by_another = stored.in_use is not None and stored.in_use != fence
    if stored.in_use is None or not held_by_another or stored.begun <= stored.offset:
        return Start(stored.offset, stored.incarnation)
    suspects = frozenset(
        offset for offset in stored.trying if stored.offset <= offset < stored.begun
    )
    return Start(stored.offset, stored.incarnation, Doubt(stored.in_use, stored.begun, suspects))
