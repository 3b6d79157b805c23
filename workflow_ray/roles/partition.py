"""A partition of a consumer: its progress, and its row in the store."""

from math import ceil

from workflow_ray.engine.progress import Progress
from workflow_ray.engine.recovery import Start
from workflow_ray.records import Fence, Position

UNEVEN = 2
"""How many times its equal share a partition may have, because some get more events."""


def share(events: int, partitions: int) -> int:
    """How many of the events one partition may have: more than an equal share."""
    return min(events, ceil(UNEVEN * events / partitions))


class Partition:
    """The state of one partition. When its row has changed, the next commit writes it.

    `in_doubt` has the events that an earlier holder may have run. When all of them are tried, the
    partition is claimed, and works normally.
    """

    def __init__(self, number: int, start: Start, fence: Fence) -> None:
        self.number = number
        self.progress = Progress(start.offset)
        self.incarnation = start.incarnation
        self.in_doubt = start.in_doubt
        # the offsets that must be tried alone
        self.suspects = set(start.in_doubt.suspects) if start.in_doubt else set[int]()
        self.trying = set[int]()  # the offsets that are being tried
        # The row is not written, because an earlier holder that is alive may still release it.
        self.is_held = bool(self.suspects)
        # The committed bound: no event at or beyond it may be given to user code.
        self.begun = start.in_doubt.begun if start.in_doubt else 0
        self._leaving = False
        self._fence = fence
        # No event at or beyond it was given to user code, or waits for that.
        self._wanted = start.offset
        self._stored: Position | None = None

    @property
    def committed(self) -> int | None:
        """The committed offset. None: no row was committed yet."""
        return self._stored.offset if self._stored else None

    def claim(self) -> None:
        """Claim the partition: everything that was in doubt has been tried."""
        self.in_doubt = None
        self.suspects.clear()
        self.is_held = False

    def leave(self) -> None:
        """Prepare for an orderly stop: untried events stay in doubt after the release."""
        self._leaving = True

    def restart(self) -> None:
        """Begin again at offset 0, with nothing in doubt: the log is new, or has lost its tail."""
        self.incarnation += 1
        self.progress = Progress(0)
        self.trying = set[int]()
        self.begun = self._wanted = 0
        self._stored = None
        self.claim()

    def reserve(self, progress: Progress, offset: int) -> bool:
        """Ask to give the event at the offset to user code.

        Args:
            progress: That of the incarnation in which the event came.
            offset: The offset of the event.

        Returns:
            Whether that is allowed now. If not, the next commit of the row allows it.
        """
        if progress is not self.progress:
            return True
        if offset >= self._wanted:
            self._wanted = offset + 1
        return offset < self.begun

    def pass_over(self, offset: int) -> None:
        """Skip the event at the offset, which is not in hand: there is nothing to do for it."""
        self.progress.skip(offset + 1)
        self.suspects.discard(offset)

    def finish(self, progress: Progress, offset: int) -> None:
        """Finish the offset, in the incarnation of `progress`."""
        progress.finish(offset)
        if progress is self.progress:
            self.trying.discard(offset)

    def move(self, progress: Progress, old: int, new: int) -> None:
        """Finish the offset `old` of an incarnation: its event came again at the offset `new`."""
        for offsets in (self.trying, self.suspects) if progress is self.progress else ():
            if old in offsets:
                offsets.remove(old)
                offsets.add(new)
        self.finish(progress, old)

    def row(self, group: str, log: str, spare: int) -> Position | None:
        """Make the row to store. None if it has not changed.

        Args:
            spare: The offsets to reserve beyond the received ones. 0: only those asked for.
        """
        if self.is_held:
            return None
        # While an attempt goes on, the row names this holder, whose release then clears it, also if
        # the role is fenced off before the attempt ends.
        holder = self._fence
        if self.in_doubt and self._leaving and not self.trying:
            holder = self.in_doubt.holder
        trying = tuple(sorted(self.trying | self.suspects)) if self.trying or self.suspects else ()
        stored, offset = self._stored, self.progress.position
        if (
            stored
            and stored.offset == offset
            and stored.trying == trying
            and stored.in_use is holder
            and not self._is_short(spare)
        ):
            return None
        begun = self.begun
        if self.in_doubt is None:
            begun = max(begun, self._wanted, self.progress.next + spare if spare else 0)
        return Position(group, self.number, offset, begun, trying, log, self.incarnation, holder)

    def stored(self, row: Position) -> None:
        """Note that the row was committed."""
        if row.incarnation == self.incarnation:
            self._stored = row
            self.begun = row.begun

    def _is_short(self, spare: int) -> bool:
        """Whether a wanted event, or half of the spare ones, could not begin."""
        if self.in_doubt is not None:
            return False
        return self.begun < self._wanted or (
            spare > 0 and self.begun < self.progress.next + spare // 2
        )
