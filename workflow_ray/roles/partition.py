"""One partition of a consumer: how far it has come, and what its row in the store is to say."""

from workflow_ray.engine.progress import Progress
from workflow_ray.engine.recovery import Start
from workflow_ray.records import Fence, Position

LEAST = 4
"""Offsets that a row reserves at least, beyond those that were handed to user code."""


class Partition:
    """Its row is written with commits that are made anyway, whenever it differs from what is
    stored.

    `doubt` is what an earlier holder may have been running; once all of that is tried the partition
    is claimed, and works normally.
    """

    def __init__(self, number: int, start: Start, fence: Fence, most: int) -> None:
        """most: Offsets that a row reserves at most, beyond those that were handed to user code."""
        self.number = number
        self.progress = Progress(start.offset)
        self.incarnation = start.incarnation
        self.doubt = start.doubt
        # Still to be tried alone
        self.suspects = set(start.doubt.suspects) if start.doubt else set[int]()
        self.trying = set[int]()  # tried, and not yet finished
        # Committed: what lies at or beyond it must not be handed to user code
        self.begun = start.doubt.begun if start.doubt else 0
        self._leaving = False
        self._fence = fence
        self._most = most
        # Nothing at or beyond it was handed to user code, or is about to be
        self._wanted = start.offset
        self._wanted_before = start.offset  # as the last row found it
        self._stored: Position | None = None

    @property
    def claimed(self) -> bool:
        """True where nothing is in doubt any more."""
        return self.doubt is None

    def claim(self) -> None:
        """All that was in doubt has been tried."""
        self.doubt = None
        self.suspects.clear()

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
        self.begun = self._wanted = self._wanted_before = 0
        self._stored = None
        self.claim()

    def reserve(self, progress: Progress, offset: int) -> bool:
        """An offset is to be handed to user code; `progress` says of which incarnation. False: not
        before its row is committed.
        """
        if progress is not self.progress:
            return True
        self._wanted = max(self._wanted, offset + 1)
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
        """What was in hand at the offset `old` of an incarnation is in hand at `new` from now on."""
        for offsets in (self.trying, self.suspects) if progress is self.progress else ():
            if old in offsets:
                offsets.remove(old)
                offsets.add(new)
        self.finish(progress, old)

    def row(self, group: str, log: str) -> Position | None:
        """What is to be stored; None: nothing has changed since."""
        holder = self.doubt.holder if self.doubt and self._leaving else self._fence
        trying = tuple(sorted(self.trying | self.suspects))
        stored, offset = self._stored, self.progress.position
        if stored and (stored.offset, stored.trying, stored.in_use) == (offset, trying, holder) and not self._is_short:
            return None
        begun = self.begun if self.doubt else max(self.begun, self._wanted + self._headroom)
        return Position(group, self.number, offset, begun, trying, log, self.incarnation, holder)

    def stored(self, row: Position) -> None:
        """The row was committed."""
        if row.incarnation == self.incarnation:
            self._stored = row
            self.begun = row.begun
            self._wanted_before = self._wanted

    @property
    def _headroom(self) -> int:
        """Enough for twice as many as were handed out since the last row: so commits that are made
        anyway suffice.
        """
        return min(self._most, max(LEAST, 2 * (self._wanted - self._wanted_before)))

    @property
    def _is_short(self) -> bool:
        """Whether less than half of the headroom is left."""
        return self.claimed and self.begun < self._wanted + self._headroom // 2
