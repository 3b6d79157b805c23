"""The schema that a URL names: `?schema=name`. Without one a store is where the server looks first
for the user.
"""

from sqlalchemy import Connection, func, literal, select
from sqlalchemy.schema import CreateSchema

from workflow_ray.errors import StoreMissing, StoreUnavailable
from workflow_ray_adapters.sql.postgresql.url import Target

MAKING = func.hashtext("workflow_ray is made")


def check_schema(connection: Connection, where: Target) -> None:
    """Check that the schema exists, and that the connection looks in it. Raises StoreMissing,
    StoreUnavailable.
    """
    if where.schema is None:
        return
    _check_search_path(connection, where)
    if not _exists(connection, where.schema):
        raise StoreMissing(
            where.canonical,
            "the schema does not exist. `workflow-ray deploy` or `worker` makes it a store.",
        )


def lock_making(connection: Connection, where: Target) -> None:
    """Let nobody else make this store until the transaction ends."""
    schema = func.current_schema() if where.schema is None else literal(where.schema)
    connection.execute(select(func.pg_advisory_xact_lock(MAKING, func.hashtext(schema))))


def make_schema(connection: Connection, where: Target) -> None:
    """Create the schema, unless it exists: who did that for us need not give us the right to do it.
    Raises StoreUnavailable.
    """
    if where.schema is None:
        return
    _check_search_path(connection, where)
    if not _exists(connection, where.schema):
        connection.execute(CreateSchema(where.schema))


def _exists(connection: Connection, schema: str) -> bool:
    return connection.scalar(select(func.to_regnamespace(f'"{schema}"'))) is not None


def _check_search_path(connection: Connection, where: Target) -> None:
    """Refuse connections through a pooler that drops the setting: they would find other tables."""
    found = str(connection.scalar(select(func.current_setting("search_path"))))
    if found.strip('"') != where.schema:
        raise StoreUnavailable(
            where.canonical,
            "the connection does not keep the setting search_path, as through a pooler that ignores"
            " it. Connect to the server itself, or give the store a database of its own.",
        )
