"""Measures SQLite alone, by the standard library's driver, as a floor for the other figures."""

import sqlite3
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager

from benchmarks.workload import TRANSITIONS

BATCH = 500
COMMITS = 200
DATA = b'{"number":1,"steps":1,"note":"' + b"x" * 100 + b'","fails":false}'
SCHEMA = """
CREATE TABLE records (run_id TEXT PRIMARY KEY, status INTEGER, version INTEGER,
    updated_at INTEGER, data BLOB);
CREATE TABLE history (run_id TEXT, version INTEGER, status INTEGER, at INTEGER, data BLOB,
    PRIMARY KEY (run_id, version)) WITHOUT ROWID;
CREATE TABLE events (topic TEXT, place INTEGER, run_id TEXT, version INTEGER,
    PRIMARY KEY (topic, place)) WITHOUT ROWID;
"""


@contextmanager
def _database() -> Generator[sqlite3.Connection]:
    with (
        tempfile.TemporaryDirectory(prefix="workflow-ray-benchmark-") as folder,
        closing(sqlite3.connect(f"{folder}/floor.db", isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(SCHEMA)
        yield connection


def commit_ms() -> float:
    """Return the median time of a transaction that writes one row, in milliseconds."""
    took: list[float] = []
    with _database() as connection:
        for number in range(COMMITS):
            start = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO records VALUES (?, 1, 1, 0, ?)", (f"run-{number}", DATA)
            )
            connection.execute("COMMIT")
            took.append((time.perf_counter() - start) * 1000)
    return sorted(took)[COMMITS // 2]


def transitions_per_second(runs: int) -> float:
    """Write what transitions must write at least, and return how many fit into a second.

    A run's record is inserted and then updated by each step, with history and events.
    """
    names = [f"01a20000-0000-7000-8000-{number:012}" for number in range(runs)]
    with _database() as connection:
        start = time.perf_counter()
        for version in range(1, TRANSITIONS + 2):
            for first in range(0, runs, BATCH):
                _write(connection, names[first : first + BATCH], version, first)
        return TRANSITIONS * runs / (time.perf_counter() - start)


def _write(connection: sqlite3.Connection, names: list[str], version: int, first: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if version == 1:
        connection.executemany(
            "INSERT INTO records VALUES (?, 1, 1, 0, ?)", [(name, DATA) for name in names]
        )
    else:
        update = (
            "UPDATE records SET status = ?, version = ?, data = ? WHERE run_id = ? AND version = ?"
        )
        connection.executemany(
            update, [(version, version, DATA, name, version - 1) for name in names]
        )
    connection.executemany(
        "INSERT INTO history VALUES (?, ?, ?, 0, ?)",
        [(name, version, version, DATA) for name in names],
    )
    if version <= TRANSITIONS:
        rows = [(f"jobs-{version}", first + at, name, version) for at, name in enumerate(names)]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
