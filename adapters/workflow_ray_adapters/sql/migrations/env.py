"""Alembic's entry point: run revisions on the connection that schema.migrate passes, inside its
transaction.
"""

from alembic import context

from workflow_ray_adapters.sql.metadata import metadata
from workflow_ray_adapters.sql.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
