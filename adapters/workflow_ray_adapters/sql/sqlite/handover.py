"""Decide who runs a transaction: the event loop between two turns, or a thread. A thread helps only
while a transaction waits. While it computes, it competes with the event loop for the interpreter,
statement by statement: a transition took a third more time that way.
"""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter, thread_time

SLOW = 0.002
"""Seconds of waiting, for example for a slow disk, above which a transaction may be slow. It is
slow if it also waited longer than it computed: the loop then loses more by waiting than it would
lose by competing.
"""
IN_A_ROW = 2
"""The number of slow transactions in a row that are not an accident, as a checkpoint of the log is.
"""
HANDED_OVER = 20
"""Transactions that the thread then runs, before the loop tries again."""


class Handover:
    """Decide by how long the loop has had to wait."""

    def __init__(self) -> None:
        self._slow = 0  # in a row
        self._left = 0  # transactions that the thread is to run

    def is_due(self) -> bool:
        """Return whether the next transaction goes to the thread. Call it once for each."""
        is_due = self._left > 0
        self._left -= is_due
        return is_due

    def note_lock(self) -> None:
        """Note that another program holds the lock: the thread waits for it."""
        self._left = max(self._left, 1)

    @contextmanager
    def time(self) -> Generator[None]:
        """Time a transaction that the loop runs."""
        began, computed = perf_counter(), -thread_time()
        yield
        computed += thread_time()
        waited = perf_counter() - began - computed
        self._slow = self._slow + 1 if waited > max(SLOW, computed) else 0
        if self._slow == IN_A_ROW:
            self._slow, self._left = 0, HANDED_OVER
