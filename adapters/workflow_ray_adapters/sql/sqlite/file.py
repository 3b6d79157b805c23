"""Check whether a SQLite file is a store, and make it one."""

import os
from contextlib import closing
from uuid import uuid4

from sqlalchemy import Connection, insert, select

from workflow_ray.errors import NotAStore, StoreMismatch, StoreMissing, StoreTooNew
from workflow_ray_adapters.sql import schema
from workflow_ray_adapters.sql.sqlite.connections import driver, open_probe, open_writer
from workflow_ray_adapters.sql.sqlite.faults import translate_errors
from workflow_ray_adapters.sql.tables import deployment


def check(path: str, store_id: str | None = None) -> str:
    """Return the store id of a file that is ready to be opened. Writes nothing. Raises
    StoreMissing, NotAStore, StoreTooNew, StoreMismatch, StoreReadOnly.
    """
    if not os.path.lexists(path):
        raise StoreMissing(
            path, "the file does not exist. `workflow-ray deploy` or `worker` makes it."
        )
    with translate_errors(path), closing(_probe(path)) as connection:
        revision = _revision(path, connection)
        if revision is None:
            raise StoreMissing(
                path, "the file is empty. `workflow-ray deploy` or `worker` makes it a store."
            )
        if revision < schema.REVISION:
            raise StoreMismatch(
                path,
                f"its schema {revision} is older than this code's {schema.REVISION}. Run"
                " `workflow-ray deploy`.",
            )
        found = _store_id(connection)
        if store_id not in (None, found):
            raise StoreMismatch(
                path,
                f"its store id is {found}; this deployment was made on {store_id}. Name the file of"
                " that one.",
            )
        connection.rollback()
        # this finds out whether it can be written
        driver(connection).executescript("BEGIN IMMEDIATE; ROLLBACK")
    return found


def is_current(path: str) -> bool:
    """Return whether the file is a store of the newest schema. False: there is none yet, or an
    older one. Raises NotAStore, StoreTooNew.
    """
    if not os.path.lexists(path):
        return False
    with translate_errors(path), closing(_probe(path)) as connection:
        revision = _revision(path, connection)
    return revision is not None and revision >= schema.REVISION


def make(path: str) -> None:
    """Make the file a store of the newest schema, in one transaction. The caller holds the file's
    lock.
    """
    if is_current(path):  # another process was quicker
        return
    with translate_errors(path):
        # its owner decides who else may read it
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(open_writer(path)) as connection, connection.begin():
            schema.migrate(connection)
            if connection.scalar(select(deployment.c.store_id)) is None:
                connection.execute(
                    insert(deployment).values(
                        store_id=str(uuid4()), version=0, usable_from=schema.USABLE_FROM
                    )
                )


def _probe(path: str) -> Connection:
    if not os.path.isfile(path):
        raise NotAStore(path, "this is not a file. Name another one.")
    return open_probe(path)


def _revision(path: str, connection: Connection) -> str | None:
    """Return the revision. None: nobody has made a table in it yet."""
    revision = schema.revision(connection)
    if schema.is_foreign(connection):
        raise NotAStore(path, "it holds another program's tables. Name another file.")
    if revision is not None and schema.is_too_new(connection, revision):
        raise StoreTooNew(
            path,
            f"its schema {revision} is newer than this code's {schema.REVISION}. Update"
            " workflow_ray.",
        )
    return revision


def _store_id(connection: Connection) -> str:
    found: str = connection.execute(select(deployment.c.store_id)).scalar_one()
    return found
