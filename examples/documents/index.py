"""An index of vectors, in a SQLite file of its own."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from examples.outside import FOLDER


class Entry(NamedTuple):
    """A page."""

    number: int
    title: str
    vector: list[float]


class Found(NamedTuple):
    """A page that is near to what was asked for."""

    nearness: float  # 1.0: the same
    document: str
    title: str


class Index:
    """The pages of all documents, with their vectors.

    Args:
        folder: Where its file is.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "index.db"
        with closing(self._open()) as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS pages (document TEXT, number INTEGER, title TEXT,"
                " vector TEXT, PRIMARY KEY (document, number))"
            )

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file)

    def replace(self, document: str, entries: Sequence[Entry]) -> None:
        """Write all pages of a document, in place of those that are there."""
        rows = [(document, each.number, each.title, json.dumps(each.vector)) for each in entries]
        with closing(self._open()) as database, database:
            database.execute("DELETE FROM pages WHERE document = ?", (document,))
            database.executemany("INSERT INTO pages VALUES (?, ?, ?, ?)", rows)

    def count(self) -> int:
        """Count the pages."""
        with closing(self._open()) as database:
            return int(database.execute("SELECT count(*) FROM pages").fetchone()[0])

    def search(self, vector: Sequence[float], limit: int = 3) -> list[Found]:
        """Return the nearest pages, the nearest first."""
        with closing(self._open()) as database:
            rows = database.execute("SELECT document, title, vector FROM pages").fetchall()
        found = [
            Found(sum(map(float.__mul__, vector, json.loads(stored))), document, title)
            for document, title, stored in rows
        ]
        return sorted(found, reverse=True)[:limit]
