"""What a role writes while it reads: what the read finds of that may be older."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from workflow_ray.records import NO_VERSION, Version

K = TypeVar("K")


class OwnWrites(Generic[K]):
    """Notes what is written, for the reads that go on. Nothing else shows that they are old, once
    what has written is not in hand any more.
    """

    def __init__(self) -> None:
        self._noting: list[dict[K, Version]] = []

    @contextmanager
    def noted(self) -> Generator[Mapping[K, Version]]:
        """Note what is written inside of the `with` block, each with its newest version."""
        written = dict[K, Version]()
        self._noting.append(written)
        try:
            yield written
        finally:
            self._noting = [each for each in self._noting if each is not written]

    def note(self, key: K, version: Version = NO_VERSION) -> None:
        """Note a write. NO_VERSION: it makes none."""
        for written in self._noting:
            written[key] = max(version, written.get(key, NO_VERSION))
