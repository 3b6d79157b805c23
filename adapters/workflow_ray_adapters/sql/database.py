"""What the store needs of a database."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")
BRIEF = 500
"""The largest number of rows of a brief read."""


class Aborted(Exception):
    """Another transaction was in the way: it wrote the same key, or each waited for the other.
    Nothing was stored. Try again.
    """


class Database(Protocol):
    """Run functions in transactions, off the event loop or between its turns. Errors are the
    ports', or the function's own.
    """

    @property
    def url(self) -> str:
        """The store's canonical URL."""
        ...

    @property
    def where(self) -> str:
        """The store's name for people, without a password."""
        ...

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run the function in a writing transaction, commit, and notify other processes with the
        session's notification. An error undoes all of it. One transaction runs at a time.

        Others may write meanwhile, except what the function has locked. Raises Aborted.
        """
        ...

    async def read(self, work: Callable[[Session], T], *, brief: bool = False) -> T:
        """Run the function on one snapshot of what is committed.

        Args:
            work: The function.
            brief: True: it reads at most BRIEF rows, by their keys. A database of this process may
                do that between two turns of the event loop.
        """
        ...

    async def notified(self, pace: Pace) -> Notification:
        """Wait until another than `write` may have committed something, and return what. A database
        that has to be polled keeps the pace.
        """
        ...

    async def is_served(self) -> bool:
        """Return whether a process has the store open exclusively, perhaps this one."""
        ...
