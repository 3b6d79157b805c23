"""Taking from several partitions at once."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """Takes one of each in turn, so that none waits for another's backlog."""

    def __init__(self) -> None:
        self._turn = 0

    def of(self, partitions: Sequence[Iterable[T]]) -> Iterator[T]:
        """Each time another one is first, or small batches would starve the last ones."""
        self._turn += 1
        first = self._turn % len(partitions) if partitions else 0
        rounds = zip_longest(*partitions[first:], *partitions[:first])
        return (item for item in chain.from_iterable(rounds) if item is not None)
