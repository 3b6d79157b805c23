"""How connections to a PostgreSQL server are opened."""

from typing import Any

from sqlalchemy import NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from workflow_ray_adapters.sql.joined.steps import ENGINE_OPTIONS
from workflow_ray_adapters.sql.postgresql.dialect import POSTGRESQL, POSTGRESQL_READER
from workflow_ray_adapters.sql.postgresql.faults import translate_errors
from workflow_ray_adapters.sql.postgresql.url import Target
from workflow_ray_adapters.sql.server.database import CONNECTING, READERS, Access
from workflow_ray_adapters.sql.server.run_keys import POOL

APPLICATION = "workflow_ray"
PAUSE = 10
"""The seconds for which a client that pauses within a transaction, or whose node has died, keeps
its locks.
"""
SETTINGS = {
    "application_name": APPLICATION,
    "jit": "off",  # compiling takes longer than statements this small
    # a plan kept from when a table was empty would read all of it, until there are statistics
    "plan_cache_mode": "force_custom_plan",
    "idle_in_transaction_session_timeout": f"{PAUSE}s",  # and see sessions.py
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}


def access_to(target: Target) -> Access:
    return Access(
        url=target.canonical,
        writer=_engine(target, isolation_level="READ COMMITTED", pool_size=1, max_overflow=0),
        readers=_reading(
            _engine(target, isolation_level="REPEATABLE READ", pool_size=READERS, max_overflow=0)
        ),
        dialect=POSTGRESQL,
        reading=POSTGRESQL_READER,
        translate_errors=translate_errors,
        is_broken=is_broken,
        abort=lambda driver: driver.terminate(),
    )


def steps_engine(target: Target) -> AsyncEngine:
    """Return an engine for transactions of steps. Names are looked up as for any other program of
    the user, not in the schema of the store.
    """
    return _engine(target._replace(schema=None), **ENGINE_OPTIONS)


def keys_engine(target: Target) -> AsyncEngine:
    """Return an engine for the keys of runs."""
    return _engine(target, isolation_level="READ COMMITTED", **POOL)


def is_broken(driver: Any) -> bool:
    """Whether a connection of the driver can't be used any more."""
    return bool(driver.is_closed())


def autocommit_engine(target: Target) -> AsyncEngine:
    """Return an engine for a connection that is held for long, without a transaction."""
    return _engine(target, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def _engine(target: Target, **options: Any) -> AsyncEngine:
    """Create an engine. Its own URL is empty, so that nothing that is shown of it has secrets."""
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "dsn": target.dsn,
            "ssl": target.ssl,
            "timeout": CONNECTING,
            "server_settings": SETTINGS | _search_path(target.schema),
        },
        hide_parameters=True,
        **options,
    )


def _search_path(schema: str | None) -> dict[str, str]:
    """Let unqualified names mean tables of the schema and of no other one."""
    return {} if schema is None else {"search_path": f'"{schema}"'}


def _reading(engine: AsyncEngine) -> AsyncEngine:
    @event.listens_for(engine.sync_engine, "connect")
    def only_read(connection: Any, _: object) -> None:
        connection.readonly = True

    return engine
