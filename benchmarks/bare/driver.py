"""What every bare driver does."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Call:
    """One that an adapter made to its driver.

    `target` tells connections, or whatever is called, apart.
    """

    target: int
    method: str
    arguments: tuple[Any, ...] = ()


Repeat: TypeAlias = Callable[[Sequence[Call]], Awaitable[None]]
"""Makes the calls, in order, and reads what they answer."""


class Bare(Protocol):
    """A driver that records what is asked of it, and then does the same without whoever asked."""

    def recording(self) -> AbstractContextManager[list[Call]]:
        """The calls made by everything that is connected from now on, as they are made."""
        ...

    def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AbstractAsyncContextManager[Repeat]:
        """Connections of its own to the store `twin`, made like that of `url`, and now brought to
        where these calls have brought that.
        """
        ...
