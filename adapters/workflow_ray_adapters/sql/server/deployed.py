"""Check whether a server's database is a store, and make it one."""

from uuid import uuid4

from sqlalchemy import Connection, insert, select

from workflow_ray.errors import NotAStore, StoreMismatch, StoreMissing, StoreTooNew
from workflow_ray_adapters.sql import schema
from workflow_ray_adapters.sql.tables import deployment


def check(connection: Connection, where: str, store_id: str | None = None) -> str:
    """Return the store id of a database that is ready to be used. Writes nothing. Raises
    StoreMissing, NotAStore, StoreTooNew, StoreMismatch.
    """
    revision = _revision(connection, where)
    if revision is None:
        raise StoreMissing(
            where, "the database is empty. `workflow-ray deploy` or `worker` makes it a store."
        )
    if revision < schema.REVISION:
        raise StoreMismatch(
            where,
            f"its schema {revision} is older than this code's {schema.REVISION}. Run `workflow-ray"
            " deploy`.",
        )
    found = _store_id(connection)
    if store_id not in (None, found):
        raise StoreMismatch(
            where,
            f"its store id is {found}; this deployment was made on {store_id}. Name the database of"
            " that one.",
        )
    return found


def make(connection: Connection, where: str) -> str:
    """Make the database a store of the newest schema, if it is not one. Return its id. Nobody else
    may do so at the same time.
    """
    revision = _revision(connection, where)
    if revision is None or revision < schema.REVISION:
        schema.migrate(connection)
    if connection.scalar(select(deployment.c.store_id)) is None:
        connection.execute(
            insert(deployment).values(
                store_id=str(uuid4()), version=0, usable_from=schema.USABLE_FROM
            )
        )
    return _store_id(connection)


def _revision(connection: Connection, where: str) -> str | None:
    """Return the revision. None: nobody has made a table in it yet."""
    if schema.is_foreign(connection):
        raise NotAStore(
            where,
            "it holds another program's tables. Name a database of its own, or on PostgreSQL a"
            " schema: ?schema=NAME.",
        )
    revision = schema.revision(connection)
    if revision is not None and schema.is_too_new(connection, revision):
        raise StoreTooNew(
            where,
            f"its schema {revision} is newer than this code's {schema.REVISION}. Update"
            " workflow_ray.",
        )
    return revision


def _store_id(connection: Connection) -> str:
    found: str = connection.execute(select(deployment.c.store_id)).scalar_one()
    return found
