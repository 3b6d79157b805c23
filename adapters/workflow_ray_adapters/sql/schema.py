"""The schema's revision: what this code needs, and how a database gets there."""

from pathlib import Path
from threading import Lock

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from workflow_ray_adapters.sql.tables import deployment

REVISION = "0006"
"""The newest revision in migrations/versions; they sort by age. It is kept here so that opening a
store does not import Alembic.
"""
USABLE_FROM = "0003"
"""The oldest revision whose code can read and write this schema: those since then have only added
to it. A migration that does more sets it to its own, also in the deployment's row.
"""
VERSION_TABLE = "workflow_ray_schema"
MIGRATIONS = Path(__file__).parent / "migrations"

_alembic = Lock()  # Alembic keeps what it works on in its modules
_stamp = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def revision(connection: Connection) -> str | None:
    """Return the database's revision. None: it has no tables of workflow_ray."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(_stamp.c.version_num))


def is_too_new(connection: Connection, revision: str) -> bool:
    """Return whether a schema of that revision is too new for this code. A newer schema says itself
    from which revision on it can be used.
    """
    if revision <= REVISION:
        return False
    usable_from: str | None = connection.scalar(select(deployment.c.usable_from))
    return usable_from is None or usable_from > REVISION


def is_foreign(connection: Connection) -> bool:
    """Return whether there are tables, and none that workflow_ray begins with: not even of a
    migration that was killed half-way.
    """
    names = inspect(connection).get_table_names()
    return bool(names) and VERSION_TABLE not in names


def migrate(connection: Connection, to: str = REVISION) -> None:
    """Bring the schema up to a revision, in the connection's transaction. Steps that were done
    before are skipped.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if connection.dialect.name in ("mariadb", "mysql"):
        # Alembic would name its primary key, and the server would warn that this means nothing
        _stamp.create(connection, checkfirst=True)
    with _alembic:
        command.upgrade(config, to)
