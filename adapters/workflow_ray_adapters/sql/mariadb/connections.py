"""How connections to a MariaDB server are opened."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

import asyncmy
from asyncmy import errors
from sqlalchemy import NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from workflow_ray_adapters.sql.joined.steps import ENGINE_OPTIONS
from workflow_ray_adapters.sql.mariadb.dialect import MARIADB, MARIADB_READER
from workflow_ray_adapters.sql.mariadb.faults import PACKET_TOO_LARGE, translate_errors
from workflow_ray_adapters.sql.mariadb.url import Target
from workflow_ray_adapters.sql.server.database import CONNECTING, DEADLINE, READERS, Access
from workflow_ray_adapters.sql.server.run_keys import POOL

HOLDING = 10
"""Seconds after which a client that pauses within a transaction, or whose node has died, loses its
locks; and seconds to wait for a lock.
"""
SETTINGS = (
    # The server refuses what it would cut off or round, and text is quoted as the driver does it.
    (
        "sql_mode ="
        " 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
    ),
    "sql_notes = 0",  # the driver would read each note, and log it
    f"innodb_lock_wait_timeout = {HOLDING}",
)
OF_MARIADB = ("collation_connection = utf8mb4_nopad_bin", f"idle_transaction_timeout = {HOLDING}")
OF_MYSQL = ("collation_connection = utf8mb4_0900_bin",)


class Connection(asyncmy.Connection):
    """Refuse what the server would cut the connection for."""

    largest: int | None = None  # bytes

    def close(self) -> None:
        """Close at once a connection that was not established yet: a TLS shutdown could outlive its
        event loop.
        """
        driver: Any = self
        if not driver.connected:
            _abort(driver)
        super().close()

    async def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        encoded = sql.encode("utf-8", "surrogateescape") if isinstance(sql, str) else sql
        if self.largest is not None and len(encoded) >= self.largest:
            raise errors.OperationalError(
                PACKET_TOO_LARGE,
                f"the statement has {len(encoded)} bytes; the server takes {self.largest}",
            )
        return int(await super().query(encoded, unbuffered))  # type: ignore[no-untyped-call]  # the driver says no types


def access_to(target: Target) -> Access:
    return Access(
        url=target.canonical,
        writer=_engine(
            target,
            isolation_level="READ COMMITTED",
            pool_size=1,
            max_overflow=0,
            pool_timeout=DEADLINE,
        ),
        readers=_engine(
            target,
            "SET SESSION TRANSACTION READ ONLY",
            isolation_level="REPEATABLE READ",
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=DEADLINE,
        ),
        dialect=MARIADB,
        reading=MARIADB_READER,
        translate_errors=translate_errors,
        is_broken=is_broken,
        abort=_abort,
    )


def steps_engine(target: Target) -> AsyncEngine:
    """Return an engine for transactions of steps."""
    return _engine(target, **ENGINE_OPTIONS)


def keys_engine(target: Target) -> AsyncEngine:
    """Return an engine for the keys of runs."""
    return _engine(target, isolation_level="READ COMMITTED", **POOL)


def is_broken(driver: Any) -> bool:
    """Whether a connection of the driver can't be used any more."""
    return bool(driver._stream_broken)


def autocommit_engine(target: Target) -> AsyncEngine:
    """Return an engine for a connection that is held for long, without a transaction. It has to be
    used every few seconds.
    """
    return _engine(
        target,
        f"SET SESSION wait_timeout = {HOLDING}",
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )


def definition_engine(target: Target, *, is_mariadb: bool) -> AsyncEngine:
    """Return an engine for one transaction, whose data definition is spelled as that server needs
    it.
    """
    return _engine(
        target,
        scheme="mariadb" if is_mariadb else "mysql",
        isolation_level="READ COMMITTED",
        poolclass=NullPool,
    )


def _engine(target: Target, *first: str, scheme: str = "mysql", **options: Any) -> AsyncEngine:
    """Create an engine. Its own URL is empty, so that nothing that is shown of it has secrets.

    Args:
        target: Where to connect to.
        first: Statements for each new connection.
        scheme: The dialect: "mariadb" or "mysql".
        options: Options of SQLAlchemy's engine.
    """

    async def connect(**settings: Any) -> Connection:
        settings |= {**target.arguments, "charset": "utf8mb4", "connect_timeout": CONNECTING}
        connection: Any = Connection(**settings)  # type: ignore[no-untyped-call]  # the driver says no types
        async with asyncio.timeout(CONNECTING):
            await connection.connect()
        made: Connection = connection
        return made

    engine = create_async_engine(
        f"{scheme}+asyncmy://",
        connect_args={"async_creator_fn": connect},
        pool_reset_on_return=None,  # its user ends its transactions
        hide_parameters=True,
        **options,
    )
    event.listen(engine.sync_engine, "connect", partial(_set_up, first))
    return engine


def _set_up(first: Sequence[str], connection: Any, _: object) -> None:
    """Set up a new connection. This comes after SQLAlchemy has set the character set, which also
    chooses a collation.
    """
    driver = connection.driver_connection
    settings = (*SETTINGS, *(OF_MARIADB if "MariaDB" in driver.server_version else OF_MYSQL))
    with closing(connection.cursor()) as cursor:
        for statement in (f"SET SESSION {', '.join(settings)}", *first):
            cursor.execute(statement)
        cursor.execute("SELECT @@max_allowed_packet")
        (driver.largest,) = cursor.fetchone()


def _abort(driver: Any) -> None:
    if driver._transport is not None:
        driver._transport.abort()
