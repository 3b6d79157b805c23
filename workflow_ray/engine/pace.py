"""The number of attempts that may begin before the next commit of a partition's row."""

LEAST = 4
"""Attempts that may always begin, so that a single attempt need not wait for a commit."""
AHEAD = 4
"""A row must allow the attempts that begin during two commits: the next one and the one after it.
It allows twice as many, so that no attempt waits while the pace doubles.
"""


class Pace:
    """Measures how many attempts end while a group of results commits.

    Many quick steps end in that time, so many offsets are reserved for them. Few slow steps end, so
    few of them are in doubt after a crash.
    """

    def __init__(self) -> None:
        self._ended = 0

    def note(self, ended: int) -> None:
        """Note how many have ended since the last group. One small group does not slow the pace."""
        self._ended = max(ended, self._ended // 2)

    def reach(self, free: int) -> int:
        """How many may begin before the next commit, if this many could begin at once."""
        return max(LEAST, free + AHEAD * self._ended)
