"""What a crash leaves of a SQLite file."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Wreckage:
    """A connection that copies the files after each statement, as SIGKILL would leave them: the
    system keeps what was written.
    """

    def __init__(self, path: Path, into: Path) -> None:
        self._path = path
        self._into = into
        self.copies: list[Path] = []

    def after(self, statement: Callable[..., Any]) -> Callable[..., Any]:
        def copying(*args: Any, **kwargs: Any) -> Any:
            result = statement(*args, **kwargs)
            self._copy()
            return result

        return copying

    def _copy(self) -> None:
        folder = self._into / str(len(self.copies))
        folder.mkdir(parents=True)
        # the index of the log, -shm, is made again by the process that opens the store after a
        # crash
        for suffix in ("", "-wal"):
            shutil.copy(f"{self._path}{suffix}", f"{folder / self._path.name}{suffix}")
        self.copies.append(folder / self._path.name)
