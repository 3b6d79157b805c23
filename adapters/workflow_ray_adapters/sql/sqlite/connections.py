"""How connections to a SQLite file are opened."""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from workflow_ray_adapters.sql.sqlite.log import LIMIT

PATIENCE = 5.0  # seconds to wait for another program's write lock
# it takes the write lock before anything is read: SQLAlchemy's default takes it with the first
# write
WRITE = "BEGIN IMMEDIATE"
READ = "BEGIN"  # a snapshot, taken by the first read
PRAGMAS = ("cache_size = -65536", "temp_store = MEMORY")
DURABLE = (
    "journal_mode = WAL",
    "synchronous = FULL",  # an acknowledged commit survives a power cut
    # pages: fewer checkpoints than by default, each of them sequential enough
    "wal_autocheckpoint = 4000",
    # a log that has grown beyond that is truncated when it is reset
    f"journal_size_limit = {LIMIT}",
)


def open_writer(path: str) -> Connection:
    """Open a connection whose transactions hold the write lock from their first statement on."""
    return _connect(path, WRITE, (*PRAGMAS, *DURABLE))


def open_reader(path: str) -> Connection:
    return _connect(path, READ, (*PRAGMAS, "query_only = ON"))


def open_probe(path: str) -> Connection:
    """Open a connection that changes nothing in the file, whatever it is."""
    return _connect(path, READ, ())


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection, for statements that SQLAlchemy would begin a transaction
    for.
    """
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


@contextmanager
def transaction(connection: Connection, begin: str) -> Generator[None]:
    """Run a transaction. It does as SQLAlchemy's own, which costs a tenth of a small transaction
    more.

    Args:
        connection: Where to run it.
        begin: WRITE or READ.
    """
    raw = driver(connection)
    raw.execute(begin)
    try:
        yield
    except BaseException:
        (connection if connection.in_transaction() else raw).rollback()
        raise
    (connection if connection.in_transaction() else raw).commit()


def set_patience(connection: Connection, seconds: float) -> None:
    """Set how long the connection waits for another program's lock."""
    driver(connection).execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _connect(path: str, begin: str, pragmas: Sequence[str]) -> Connection:
    def connect() -> sqlite3.Connection:
        raw = sqlite3.connect(
            f"file:{quote(path)}?mode=rw",  # it never creates the file
            uri=True,
            timeout=PATIENCE,
            # transactions begin where SQLAlchemy begins them, with the statement below
            isolation_level=None,
            # another thread opens and closes it than the one that works with it
            check_same_thread=False,
        )
        for pragma in pragmas:
            raw.execute(f"PRAGMA {pragma}")
        return raw

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        if not driver(connection).in_transaction:
            driver(connection).execute(begin)

    return engine.connect()
