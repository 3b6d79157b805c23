"""How far a role has come in one partition of a log."""

from heapq import heapify, heappop, heappush

SLACK = 64
"""Finished offsets that may be kept beside twice the unfinished ones before they are dropped."""


class Progress:
    """The offsets of one partition that are in hand. The position is the lowest of them: below it
    everything is finished.

    What it keeps grows with the offsets in hand, not with how far the lowest one lies back.
    """

    __slots__ = ("_in_hand", "_lowest_first", "next")

    def __init__(self, position: int) -> None:
        self.next = position  # the offset to receive from
        self._in_hand: set[int] = set()
        # A heap; also of finished offsets that are not at its top
        self._lowest_first: list[int] = []

    def begin(self, offset: int) -> None:
        """Take an offset in hand. What lies between `next` and it is no event."""
        self._in_hand.add(offset)
        heappush(self._lowest_first, offset)
        self.skip(offset + 1)

    def finish(self, offset: int) -> None:
        """It is done with. Does nothing for one that is not in hand."""
        self._in_hand.discard(offset)
        while self._lowest_first and self._lowest_first[0] not in self._in_hand:
            heappop(self._lowest_first)
        if len(self._lowest_first) > 2 * len(self._in_hand) + SLACK:
            self._lowest_first = list(self._in_hand)
            heapify(self._lowest_first)

    def skip(self, to: int) -> None:
        """Nothing below `to` is still to be received."""
        self.next = max(self.next, to)

    @property
    def position(self) -> int:
        return self._lowest_first[0] if self._lowest_first else self.next

    @property
    def in_hand(self) -> int:
        return len(self._in_hand)
