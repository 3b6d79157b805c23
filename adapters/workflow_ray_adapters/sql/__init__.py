"""Records, events and roles in SQL databases, through SQLAlchemy Core."""

from workflow_ray_adapters.sql.sqlite.adapter import SqliteAdapter

__all__ = ["SqliteAdapter"]
