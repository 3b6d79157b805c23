"""Reads the log files of a deployment's actors: the last entries, then what is added."""

import os
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from workflow_ray.runtime.ray.log_files import SUFFIX, actor_of

TAIL = 256 * 1024
"""How many bytes of each file are read for its last entries."""
IDENTITY = ".identity"
"""The name of the file that identifies a folder."""
PORTION = 1024 * 1024
"""How many bytes of each file are read at once when entries are added."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ")


class Entry(NamedTuple):
    """One entry of a log."""

    time: str  # as the file has it, by the clock of the actor's node
    actor: str
    text: str  # with the time; lines but the first one are those of a traceback


def by_time(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries by their time. Entries of the same time keep their order."""
    return sorted(entries, key=lambda entry: entry.time)


class LogReader:
    """Reads the log files of one folder, and remembers how far it has read each."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._read: dict[str, tuple[int, int]] = {}
        """The name of a file -> its inode, and how many bytes were read."""

    def identity(self) -> str:
        """Return what identifies the folder, because several nodes may share it by a file server.

        "" if the folder does not exist.
        """
        file = self._folder / IDENTITY
        draft = file.with_suffix(f".{secrets.token_hex(8)}")
        try:
            draft.write_text(secrets.token_hex(16))
            with suppress(FileExistsError):
                os.link(draft, file)
            draft.unlink()
            return file.read_text()
        except OSError:
            return ""

    def actors(self) -> list[str]:
        """Return the names of the actors that have a log file here. Some may have ended."""
        return sorted(map(actor_of, self._folder.glob(f"*{SUFFIX}")))

    def last(self, names: Collection[str], limit: int) -> list[Entry]:
        """Read the last `limit` entries of these actors, from the newest TAIL bytes of each file.

        `added` goes on from there.
        """
        found = [entry for file in self._files(names) for entry in self._tail(file)]
        return by_time(found)[-limit:] if limit else []

    def added(self, names: Collection[str]) -> list[Entry]:
        """Read the entries that were added since the last call, also those of new files."""
        return by_time(entry for file in self._files(names) for entry in self._rest(file))

    def _files(self, names: Collection[str]) -> Iterator[Path]:
        for file in self._folder.glob(f"*{SUFFIX}"):
            if actor_of(file) in names:
                yield file

    def _tail(self, file: Path) -> list[Entry]:
        entries: list[Entry] = []
        older = file.with_name(f"{file.name}.1")
        for path in (older, file):
            try:
                with path.open("rb") as opened:
                    state = os.fstat(opened.fileno())
                    opened.seek(max(0, state.st_size - TAIL))
                    text = opened.read(TAIL)
            except FileNotFoundError:
                continue
            if path == file:
                text = _whole_lines(text)
                self._read[file.name] = state.st_ino, max(0, state.st_size - TAIL) + len(text)
            entries += _entries(actor_of(file), text)
        return entries

    def _rest(self, file: Path) -> list[Entry]:
        inode, offset = self._read.get(file.name, (0, 0))
        entries: list[Entry] = []
        with file.open("rb") as opened:
            state = os.fstat(opened.fileno())
            if inode not in (0, state.st_ino):  # it was renamed since, and a new one begun
                entries, offset = self._renamed(file, inode, offset), 0
            opened.seek(offset)
            text = _whole_lines(opened.read(PORTION))
        self._read[file.name] = state.st_ino, offset + len(text)
        return entries + _entries(actor_of(file), text)

    def _renamed(self, file: Path, inode: int, offset: int) -> list[Entry]:
        """Read the rest of the file that had this name before."""
        for path in self._folder.glob(f"{file.name}.*"):
            with path.open("rb") as opened:
                if os.fstat(opened.fileno()).st_ino == inode:
                    opened.seek(offset)
                    return _entries(actor_of(file), opened.read())
        return []


def _whole_lines(text: bytes) -> bytes:
    """Cut the text after its last line end, because the rest is still being written."""
    return text[: text.rfind(b"\n") + 1]


def _entries(actor: str, text: bytes) -> list[Entry]:
    """Split text into entries. Lines before the first time belong to an entry that is left out."""
    entries: list[Entry] = []
    for line in text.decode("utf-8", "replace").splitlines():
        if found := _TIME.match(line):
            entries.append(Entry(found[1], actor, line))
        elif entries:
            last = entries[-1]
            entries[-1] = last._replace(text=f"{last.text}\n{line}")
    return entries
