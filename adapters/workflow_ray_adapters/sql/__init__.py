"""Store records, events, timeouts and roles in SQL databases, through SQLAlchemy Core. What a
database needs is imported with its adapter.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workflow_ray_adapters.sql.sqlite.adapter import SqliteAdapter

if TYPE_CHECKING:
    from workflow_ray_adapters.sql.mariadb.adapter import MariadbAdapter
    from workflow_ray_adapters.sql.postgresql.adapter import PostgresqlAdapter

__all__ = ["MariadbAdapter", "PostgresqlAdapter", "SqliteAdapter"]

OF_SERVERS = {"MariadbAdapter": "mariadb", "PostgresqlAdapter": "postgresql"}


def __getattr__(name: str) -> Any:
    """Import the adapter. Raises ImportError where its driver is not installed."""
    if name in OF_SERVERS:
        return getattr(import_module(f"{__name__}.{OF_SERVERS[name]}.adapter"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
