"""What the store asks of a database's driver."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")


class Aborted(Exception):
    """Another transaction was in the way: it wrote the same key, or each waited for the other. Nothing was stored; try again."""


class Database(Protocol):
    """Runs functions in transactions, off the event loop or between its turns. What it raises are the ports' errors, or the
    function's own.
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
        """Run it in a writing transaction and commit, and tell others the session's notification. An error undoes all of it. One at a time.

        Others may write meanwhile, unless what it reads is locked. Raises Aborted.
        """
        ...

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run it on one snapshot of what is committed."""
        ...

    async def word(self, wanted: Callable[[], bool]) -> Notification | None:
        """Wait until anybody but `write` has committed something. What that has changed; None: anything may have.

        wanted: whether anybody waits for it; a database that has to be asked isn't asked while nobody does.
        """
        ...

    async def served_elsewhere(self) -> bool:
        """Whether another process has the store open exclusively."""
        ...
