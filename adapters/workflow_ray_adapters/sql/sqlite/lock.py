"""The operating system's lock of the process that serves a store's file."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

from workflow_ray.errors import StoreInUse
from workflow_ray_adapters.sql.sqlite.faults import translate_errors

PAUSE = 0.02  # seconds between two tries


class FileLock:
    """A lock on `PATH.lock`, beside the store. The file stays: if it were deleted, a third process
    could lock another file of that name. The system releases the lock when its holder dies, however
    that happens.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self._file: int | None = None

    @asynccontextmanager
    async def hold(self, patience: float) -> AsyncGenerator[None]:
        """Hold the lock. Waits up to `patience` seconds for another holder to release it. Raises
        StoreInUse, StoreReadOnly, StoreFull.
        """
        deadline = monotonic() + patience
        while not self._acquired(deadline):  # noqa: ASYNC110  flock tells nobody that the lock is free
            await asyncio.sleep(PAUSE)
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def hold_by_thread(self, patience: float) -> Generator[None]:
        """As `held`, without an event loop."""
        deadline = monotonic() + patience
        while not self._acquired(deadline):
            time.sleep(PAUSE)  # flock's own wait has no end
        try:
            yield
        finally:
            self._release()

    def is_held(self) -> bool:
        """Return whether some process holds the lock now. Processes that ask at the same time do
        not take each other for its holder.
        """
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def _open(self) -> int:
        with translate_errors(self._store):
            return os.open(f"{self._store}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _acquired(self, deadline: float) -> bool:
        file = self._open()
        _held.add(file)  # before it is locked: another thread may fork at any time
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _close(file)
            if monotonic() >= deadline:
                raise StoreInUse(
                    self._store, "another process serves it. Stop that one first, or attach to it."
                ) from None
            return False
        self._file = file
        return True

    def _release(self) -> None:
        if self._file is not None:
            _close(self._file)
            self._file = None


_held = set[int]()
"""The files by which this process holds locks, or is about to."""


def _close(file: int) -> None:
    """Close the file. In a forked child it is closed already, and its number may belong to another
    file.
    """
    if file in _held:
        _held.remove(file)
        os.close(file)


def _close_in_child() -> None:
    """Close the files in a forked child, which would keep the locks after its parent has died."""
    for file in list(_held):
        _close(file)


os.register_at_fork(after_in_child=_close_in_child)
