"""What the store asks of a database's driver."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")


class Database(Protocol):
    """Runs functions in transactions, off the event loop. What it raises are the ports' errors, or the function's own."""

    @property
    def where(self) -> str:
        """The store's name for people, without a password."""
        ...

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run it in a writing transaction and commit. An error undoes all of it. One at a time."""
        ...

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run it on one snapshot of what is committed."""
        ...

    async def changed_elsewhere(self) -> bool:
        """Whether anybody but `write` has committed something since the last call. Cheap."""
        ...
