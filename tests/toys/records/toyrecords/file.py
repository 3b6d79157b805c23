"""The file: transactions, and notifications of its changes."""

import asyncio
import fcntl
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from toyrecords.state import State
from workflow_ray.ports import Clock

T = TypeVar("T")

POLL = 0.5
"""Seconds after which a change by another process is noticed."""


class File:
    """A file that changes atomically.

    A change is whole or absent whichever process dies. The crash of a machine may undo the last
    ones.
    """

    _listeners: ClassVar[dict[Path, set[asyncio.Event]]] = defaultdict(set)

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def transaction(self) -> Generator[State, None, None]:
        """Give the state, to read and to change, while no other process does.

        An exception leaves it unchanged.
        """
        with self.locked("lock"):
            before = self.path.read_bytes()
            state = msgspec.msgpack.decode(before, type=State)
            yield state
            if (after := msgspec.msgpack.encode(state)) != before:
                self.write(after)

    def write(self, content: bytes) -> None:
        new = self.path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(self.path)
        for event in self._listeners[self.path]:
            event.set()

    @contextmanager
    def locked(self, suffix: str, how: int = fcntl.LOCK_EX) -> Generator[None, None, None]:
        """Hold a lock that ends with this process.

        Raises BlockingIOError: another process has it, and `how` says not to wait.
        """
        with self.path.with_suffix(f".{suffix}").open("w") as file:
            fcntl.flock(file, how)
            yield

    async def poll(self, look: Callable[[State], T], clock: Clock, wait: float) -> T:
        """Return what `look` finds at once, after a change, or when `wait` seconds are over."""
        deadline = clock.monotonic() + wait
        while True:
            changed = asyncio.Event()
            self._listeners[self.path].add(changed)
            try:
                with self.transaction() as state:
                    found = look(state)
                left = deadline - clock.monotonic()
                if found or left <= 0:
                    return found
                await clock.wait(changed, min(left, POLL))
            finally:
                self._listeners[self.path].discard(changed)
