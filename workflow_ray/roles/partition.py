"""One partition of a consumer: how far it has come, and what its row in the store is to say."""

from math import ceil

from workflow_ray.engine.progress import Progress
from workflow_ray.engine.recovery import Start
from workflow_ray.records import Fence, Position

UNEVEN = 2
"""Partitions may differ so much in what comes in them."""


def share(events: int, partitions: int) -> int:
    """How many of so many events one of the partitions may get: more than an equal share."""
    return min(events, ceil(UNEVEN * events / partitions))


class Partition:
    """Its row is written with commits that are made anyway, whenever it differs from what is
    stored.

    `doubt` is what an earlier holder may have been running; once all of that is tried the partition
    is claimed, and works normally.
    """

    def __init__(self, number: int, start: Start, fence: Fence) -> None:
        self.number = number
        self.progress = Progress(start.offset)
        self.incarnation = start.incarnation
        self.doubt = start.doubt
        # Still to be tried alone
        self.suspects = set(start.doubt.suspects) if start.doubt else set[int]()
        self.trying = set[int]()  # tried, and not yet finished
        # Its row is left alone: an earlier holder that is alive may still release it
        self.is_held = bool(self.suspects)
        # Committed: what lies at or beyond it must not be handed to user code
        self.begun = start.doubt.begun if start.doubt else 0
        self._leaving = False
        self._fence = fence
        # Nothing at or beyond it was handed to user code, or is about to be
        self._wanted = start.offset
        self._stored: Position | None = None

    @property
    def claimed(self) -> bool:
        """True where nothing is in doubt any more."""
        return self.doubt is None

    def claim(self) -> None:
        """All that was in doubt has been tried."""
        self.doubt = None
        self.suspects.clear()
        self.is_held = False

    def leave(self) -> None:
        """An orderly stop: what is still untried stays in doubt, so that the release of this holder
        does not clear it.
        """
        self._leaving = True

    def restart(self) -> None:
        """The log was made again, or lost its tail: go on from its beginning. Nothing of the
        earlier log is in doubt any more.
        """
        self.incarnation += 1
        self.progress = Progress(0)
        self.trying = set[int]()
        self.begun = self._wanted = 0
        self._stored = None
        self.claim()

    def reserve(self, progress: Progress, offset: int) -> bool:
        """An offset is to be handed to user code; `progress` says of which incarnation. False: not
        before its row is committed.
        """
        if progress is not self.progress:
            return True
        if offset >= self._wanted:
            self._wanted = offset + 1
        return offset < self.begun

    def pass_over(self, offset: int) -> None:
        """What stands at the offset, not in hand yet, needs nothing done."""
        self.progress.skip(offset + 1)
        self.suspects.discard(offset)

    def finish(self, progress: Progress, offset: int) -> None:
        """An offset is done with; `progress` says of which incarnation."""
        progress.finish(offset)
        if progress is self.progress:
            self.trying.discard(offset)

    def move(self, progress: Progress, old: int, new: int) -> None:
        """Keep in hand at the offset `new` what was in hand at `old` of an incarnation."""
        for offsets in (self.trying, self.suspects) if progress is self.progress else ():
            if old in offsets:
                offsets.remove(old)
                offsets.add(new)
        self.finish(progress, old)

    def row(self, group: str, log: str, spare: int) -> Position | None:
        """What is to be stored; None: nothing has changed since.

        Args:
            spare: Offsets to reserve beyond those that were received; 0: only those asked for.
        """
        if self.is_held:
            return None
        holder = self.doubt.holder if self.doubt and self._leaving else self._fence
        trying = tuple(sorted(self.trying | self.suspects)) if self.trying or self.suspects else ()
        stored, offset = self._stored, self.progress.position
        is_short = self.doubt is None and self.begun < self._reach(spare // 2)
        if (
            stored
            and stored.offset == offset
            and not is_short
            and stored.trying == trying
            and stored.in_use is holder
        ):
            return None
        begun = max(self.begun, self._reach(spare)) if self.doubt is None else self.begun
        return Position(group, self.number, offset, begun, trying, log, self.incarnation, holder)

    def stored(self, row: Position) -> None:
        """The row was committed."""
        if row.incarnation == self.incarnation:
            self._stored = row
            self.begun = row.begun

    def _reach(self, spare: int) -> int:
        return max(self._wanted, self.progress.next + spare) if spare else self._wanted
