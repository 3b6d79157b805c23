"""The protocol of bare drivers."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Call:
    """A call that an adapter made to its driver.

    `target` tells connections, or other callees, apart.
    """

    target: int
    method: str
    arguments: tuple[Any, ...] = ()


Repeat: TypeAlias = Callable[[Sequence[Call]], Awaitable[None]]
"""Makes the calls, in order, and reads their results."""


class Bare(Protocol):
    """A driver that records the calls of an adapter, and repeats them without the adapter."""

    def recording(self) -> AbstractContextManager[list[Call]]:
        """Record the calls on connections that are opened from now on."""
        ...

    def repeating(
        self, url: str, twin: str, so_far: Sequence[Call]
    ) -> AbstractAsyncContextManager[Repeat]:
        """Open connections to the store `twin`, which is made like that of `url`.

        Then make these calls on it, so that both stores are in the same state.
        """
        ...
