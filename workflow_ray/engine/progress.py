"""How far a role has come in one partition of a log."""


class Progress:
    """The offsets of one partition that are in hand. The position is the lowest of them: below it
    everything is finished.

    What it keeps grows with the offsets in hand, not with how far the lowest one lies back.
    """

    __slots__ = ("_in_hand", "next")

    def __init__(self, position: int) -> None:
        self.next = position  # the offset to receive from
        # The keys of a dict, which keeps the order in which they were added: they are ascending
        self._in_hand: dict[int, None] = {}

    def begin(self, offset: int) -> None:
        """Take an offset in hand; it is `next` or a later one.

        What lies between is not an event.
        """
        assert offset >= self.next, "offsets come ascending"
        self._in_hand[offset] = None
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        """It is done with. Does nothing for one that is not in hand."""
        self._in_hand.pop(offset, None)

    def skip(self, to: int) -> None:
        """Nothing below `to` is still to be received."""
        if to > self.next:
            self.next = to

    @property
    def position(self) -> int:
        return next(iter(self._in_hand), self.next)

    @property
    def span(self) -> int:
        """Offsets from the position up to where to receive from."""
        return self.next - next(iter(self._in_hand), self.next)

    @property
    def in_hand(self) -> int:
        return len(self._in_hand)
