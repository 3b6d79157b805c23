"""Who does a transaction: the event loop between two turns, or a thread.

A thread helps only while a transaction waits. While it computes it competes with the event loop for
the interpreter, statement by statement: a transition took a third more time that way.
"""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter, thread_time

SLOW = 0.002
"""Seconds of waiting, such as for a slow disk, from which on a transaction may be slow. It is,
where it waited longer than it computed: what the loop loses by waiting is then more than what it
would lose by competing.
"""
IN_A_ROW = 2
"""Slow transactions that are no accident, as the moving of the log into the file is."""
HANDED_OVER = 20
"""Transactions that the thread does then, before the loop tries again."""


class Handover:
    """Decides by how long the loop has had to wait."""

    def __init__(self) -> None:
        self._slow = 0  # in a row
        self._left = 0  # transactions that the thread does

    def is_due(self) -> bool:
        """Whether the next transaction goes to the thread. To be asked once for each."""
        is_due = self._left > 0
        self._left -= is_due
        return is_due

    def locked(self) -> None:
        """Another program holds the lock: the thread waits for it."""
        self._left = max(self._left, 1)

    @contextmanager
    def timed(self) -> Generator[None]:
        """Around each transaction that the loop does."""
        began, computed = perf_counter(), -thread_time()
        yield
        computed += thread_time()
        waited = perf_counter() - began - computed
        self._slow = self._slow + 1 if waited > max(SLOW, computed) else 0
        if self._slow == IN_A_ROW:
            self._slow, self._left = 0, HANDED_OVER
