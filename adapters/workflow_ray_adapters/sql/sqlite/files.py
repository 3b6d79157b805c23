"""Check the database's file and its write-ahead log: whether their paths still name them, and how
large the log is.

Reading the log's times after each commit would make each commit slower by a third: once a kernel
has returned a file's times (Linux from 6.13 on), it writes new ones with the next change. So this
reads those of the folder, which change when a file in it is created, moved or deleted; and it asks
the open file for the size.
"""

import os
from time import time_ns
from typing import TypeAlias

from workflow_ray.errors import StoreMissing

Identity: TypeAlias = tuple[int, int]
"""The device and the number of a file."""
SETTLED = 1_000_000_000
"""Nanoseconds after which a folder's time differs for a later change. Some file systems keep it no
more exactly.
"""


class Files:
    """The two files, from when the database is opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._log_path = f"{path}-wal"
        self._folder = os.path.dirname(path) or os.curdir
        self._file = _identity(path)
        self._log_file: Identity | None = None  # None: there is none before the first transaction
        self._log: int | None = None  # its descriptor
        # the folder's times when the files were checked; None: check again
        self._seen: tuple[int, int, int] | None = None

    def check(self) -> None:
        """Raise StoreMissing if a path no longer names the open file."""
        folder = self._look_at_folder()
        if folder is None or folder != self._seen:
            self._look()
            self._seen = folder

    def log_size(self) -> int:
        """Return the bytes of the log; 0: it was not there at the last check."""
        return 0 if self._log is None else os.lseek(self._log, 0, os.SEEK_END)

    def close(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _look_at_folder(self) -> tuple[int, int, int] | None:
        """Return the folder's times. None: it has changed so lately that a change after this one
        may not show.
        """
        try:
            found = os.stat(self._folder)
        except FileNotFoundError:
            return None
        is_settled = time_ns() - found.st_mtime_ns > SETTLED
        return (found.st_dev, found.st_ino, found.st_mtime_ns) if is_settled else None

    def _look(self) -> None:
        if _identity(self._path) != self._file:
            raise StoreMissing(
                self._path,
                "the file was deleted or replaced while it was open. Put it back, and open it"
                " again.",
            )
        found = _identity(self._log_path)
        if self._log_file is not None and found != self._log_file:
            raise StoreMissing(
                self._path,
                "its -wal file was deleted or replaced while it was open. Put it back, and open it"
                " again.",
            )
        if found is not None and self._log is None:
            self._log_file = found
            self._log = os.open(self._log_path, os.O_RDONLY)


def _identity(path: str) -> Identity | None:
    """Return the file's identity. None: the path names nothing."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
