"""What the store asks of a database's driver."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")
BRIEF = 500
"""Rows of a brief read at most."""


class Aborted(Exception):
    """Another transaction was in the way: it wrote the same key, or each waited for the other.
    Nothing was stored; try again.
    """


class Database(Protocol):
    """Runs functions in transactions, off the event loop or between its turns. What it raises are
    the ports' errors, or the function's own.
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
        """Run it in a writing transaction and commit, and let other processes know of the session's
        notification. An error undoes all of it. One at a time.

        Others may write meanwhile, unless what it reads is locked. Raises Aborted.
        """
        ...

    async def read(self, work: Callable[[Session], T], *, brief: bool = False) -> T:
        """Run it on one snapshot of what is committed.

        brief: it reads some hundred rows at most, by their keys. A database of this process may
        do that between two turns of the event loop.
        """
        ...

    async def notified(self, pace: Pace) -> Notification:
        """Wait until anybody but `write` may have committed something, and tell what. A database
        that must be asked keeps to the pace.
        """
        ...

    async def is_served(self) -> bool:
        """Whether a process has the store open exclusively, perhaps this one."""
        ...
