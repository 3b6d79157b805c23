"""Times an adapter and its bare driver, which repeats the adapter's calls."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

from benchmarks.bare import Call, Repeat

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """The medians of both, in milliseconds."""

    what: str
    size: int
    adapter_ms: float
    bare_ms: float
    ratio: float


class Stopwatch:
    """Times each operation; the bare driver repeats it right afterwards, on its own store."""

    def __init__(self, calls: list[Call], repeat: Repeat) -> None:
        self._calls = calls
        self._repeat = repeat
        self._took: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)

    async def timed(self, what: str, size: int, operation: Callable[[], Awaitable[T]]) -> T:
        self._calls.clear()
        start = perf_counter()
        answer = await operation()
        adapter, made = perf_counter() - start, list(self._calls)
        start = perf_counter()
        await self._repeat(made)
        self._took[what, size].append((adapter, perf_counter() - start))
        return answer

    async def untimed(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation on both stores without timing it."""
        self._calls.clear()
        answer = await operation()
        await self._repeat(list(self._calls))
        return answer

    def timings(self, *, without: int) -> list[Timing]:
        """Return the medians of each operation.

        Args:
            without: How many of the first times do not count.
        """
        return [_timing(what, size, took[without:]) for (what, size), took in self._took.items()]


def _timing(what: str, size: int, took: Sequence[tuple[float, float]]) -> Timing:
    adapter, bare = (median(times) * 1000 for times in zip(*took, strict=True))
    return Timing(what, size, adapter, bare, adapter / bare)
