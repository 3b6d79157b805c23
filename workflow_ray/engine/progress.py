"""The progress of a role in one partition of a log."""


class Progress:
    """The offsets of one partition that are in hand. The position is the lowest of them: everything
    below it is finished.

    Its size grows with the number of offsets in hand, not with their distance.
    """

    __slots__ = ("_in_hand", "next")

    def __init__(self, position: int) -> None:
        self.next = position  # the offset to receive from
        # A dict keeps the order in which its keys were added, so they are ascending.
        self._in_hand: dict[int, None] = {}

    def begin(self, offset: int) -> None:
        """Take an offset in hand.

        Args:
            offset: `next`, or a later one. The offsets between are not events.
        """
        assert offset >= self.next, "offsets come ascending"
        self._in_hand[offset] = None
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        """Finish the offset. Does nothing if it is not in hand."""
        self._in_hand.pop(offset, None)

    def skip(self, to: int) -> None:
        """Go on receiving from `to`: there are no events between."""
        if to > self.next:
            self.next = to

    @property
    def position(self) -> int:
        return next(iter(self._in_hand), self.next)

    @property
    def span(self) -> int:
        """The number of offsets from the position to the next one to receive."""
        return self.next - next(iter(self._in_hand), self.next)

    @property
    def in_hand(self) -> int:
        return len(self._in_hand)
