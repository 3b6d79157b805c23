"""The schema's revision: what this code needs, and how a database gets there."""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

REVISION = "0001"
"""The newest in migrations/versions; they sort by age. Kept here so that opening a store doesn't import Alembic."""
VERSION_TABLE = "workflow_ray_schema"
MIGRATIONS = Path(__file__).parent / "migrations"

_stamp = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def revision(connection: Connection) -> str | None:
    """The database's revision; None: it has no tables of workflow_ray."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(_stamp.c.version_num))


def is_empty(connection: Connection) -> bool:
    """Whether nobody has made a table there yet."""
    return not inspect(connection).get_table_names()


def migrate(connection: Connection) -> None:
    """Bring the schema up to date, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
