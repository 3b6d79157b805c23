"""How many attempts may begin before a row is committed that allows more."""

LEAST = 4
"""Attempts that may always begin: so one that runs alone waits for no row."""
AHEAD = 4
"""What a row allows begins while the next group commits, or the one after that: two groups. Twice
that is allowed, so that no attempt waits while the pace doubles.
"""


class Pace:
    """How many attempts end while a group of results commits.

    Quick steps end by the hundred, slow ones hardly at all: so of quick ones much is reserved, and
    of slow ones little is in doubt after a crash.
    """

    def __init__(self) -> None:
        self._ended = 0

    def note(self, ended: int) -> None:
        """So many have ended since the last group. One small group does not slow the pace down."""
        self._ended = max(ended, self._ended // 2)

    def reach(self, free: int) -> int:
        """How many may begin, where so many could begin at once."""
        return max(LEAST, free + AHEAD * self._ended)
