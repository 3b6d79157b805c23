"""How far a role has come in each partition."""

from collections import deque


class Progress:
    """The offsets of one partition that are in hand. The position is the lowest of them: below it all is finished."""

    __slots__ = ("_finished", "_order", "next")

    def __init__(self, position: int) -> None:
        self.next = position  # the offset to receive from
        self._order: deque[int] = deque()  # in hand or finished out of turn, ascending
        self._finished: set[int] = set()

    def begin(self, offset: int) -> None:
        """Take an offset in hand; offsets come ascending, gaps are no matter."""
        self._order.append(offset)
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        self._finished.add(offset)
        while self._order and self._order[0] in self._finished:
            self._finished.discard(self._order.popleft())

    @property
    def position(self) -> int:
        return self._order[0] if self._order else self.next

    @property
    def in_hand(self) -> int:
        return len(self._order) - len(self._finished)
