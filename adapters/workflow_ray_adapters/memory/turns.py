"""Takes items from several partitions in turn."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """Takes one item of each partition in turn, so that the backlog of one delays no other."""

    def __init__(self) -> None:
        self._turn = 0

    def of(self, partitions: Sequence[Iterable[T]]) -> Iterator[T]:
        """Return the items in turns.

        Each call begins with another partition, because small limits would starve the last ones
        otherwise.
        """
        self._turn += 1
        first = self._turn % len(partitions) if partitions else 0
        rounds = zip_longest(*partitions[first:], *partitions[:first])
        return (item for item in chain.from_iterable(rounds) if item is not None)
