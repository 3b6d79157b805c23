"""Those who wait for something to change. Each is woken by what concerns it and by nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from workflow_ray.ports import Clock
from workflow_ray.records import NO_VERSION, RunId, Version

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


async def wait_until(
    clock: Clock, wakeup: asyncio.Event, look: Callable[[], Awaitable[T]], wait: float
) -> T:
    """Return what `look` finds: at once, or after the wakeup, or when `wait` seconds are over."""
    deadline = clock.monotonic() + wait
    while True:
        wakeup.clear()  # before the look, so that the next one sees what changes meanwhile
        found = await look()
        left = deadline - clock.monotonic()
        if found or left <= 0:
            return found
        await clock.wait(wakeup, left)


class Waiters(Generic[K]):
    """Those who wait for keys to change."""

    def __init__(self) -> None:
        self._waiting: dict[K, set[asyncio.Event]] = {}

    def keys(self) -> Collection[K]:
        """Return the keys that somebody waits for."""
        return self._waiting.keys()

    def wake(self, key: K) -> bool:
        """Wake those who wait for the key. Return whether there are any."""
        for wakeup in self._waiting.get(key, ()):
            wakeup.set()
        return key in self._waiting

    @contextmanager
    def waiting(self, *keys: K) -> Generator[asyncio.Event]:
        """Yield an event that is set when one of the keys changes."""
        wakeup = asyncio.Event()
        for key in keys:
            self._waiting.setdefault(key, set()).add(wakeup)
        try:
            yield wakeup
        finally:
            for key in keys:
                _remove(self._waiting, key, wakeup)


@dataclass(eq=False)
class _Watcher:
    seen: Mapping[RunId, Version]
    at_rest: bool
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)


class Watchers:
    """Those who wait for runs to get beyond the versions that they have seen."""

    def __init__(self) -> None:
        self._watching: dict[RunId, set[_Watcher]] = {}

    def runs(self) -> Collection[RunId]:
        """Return the runs that somebody watches."""
        return self._watching.keys()

    def wake(self, runs: Mapping[RunId, Version], at_rest: Collection[RunId]) -> bool:
        """Wake those whom the new versions of the runs concern. Return whether there are any."""
        woken = False
        few, many = sorted((self._watching, runs), key=len)
        for run_id in [run_id for run_id in few if run_id in many]:
            for watcher in self._watching[run_id]:
                if runs[run_id] > watcher.seen[run_id] and (
                    run_id in at_rest or not watcher.at_rest
                ):
                    watcher.wakeup.set()
                    woken = True
        return woken

    @contextmanager
    def watching(self, seen: Mapping[RunId, Version], *, at_rest: bool) -> Generator[asyncio.Event]:
        """Yield an event that is set when one of the runs gets beyond the version seen, or only
        when the run then takes no step by itself.
        """
        watcher = _Watcher(seen, at_rest)
        for run_id in seen:
            self._watching.setdefault(run_id, set()).add(watcher)
        try:
            yield watcher.wakeup
        finally:
            for run_id in seen:
                _remove(self._watching, run_id, watcher)


def _remove(waiting: dict[K, set[T]], key: K, waiter: T) -> None:
    waiting[key].discard(waiter)
    if not waiting[key]:
        del waiting[key]


KEPT = 10_000
"""The number of runs whose versions are remembered."""


class KnownVersions:
    """The newest versions of runs that this process knows. A watch that has seen them does not look
    before it waits: half of all reads were such looks.
    """

    def __init__(self) -> None:
        self._newest: dict[RunId, Version] = {}

    def note(self, runs: Iterable[tuple[RunId, Version]]) -> None:
        """Note versions, in any order: a notification may overtake the answer of an earlier
        commit.
        """
        newest = self._newest
        for run_id, version in runs:
            if version > newest.get(run_id, NO_VERSION):
                newest[run_id] = version
        if len(self._newest) > KEPT:
            self._newest.clear()

    def forget(self) -> None:
        self._newest.clear()

    def is_newest(self, seen: Mapping[RunId, Version]) -> bool:
        """Return whether these are the newest versions of their runs, as far as is known."""
        return all(self._newest.get(run_id) == version for run_id, version in seen.items())
