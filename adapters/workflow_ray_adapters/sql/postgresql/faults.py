"""Translate the errors of PostgreSQL, of its driver and of the network."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi, PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError

from workflow_ray.errors import (
    AccessDenied,
    NotAStore,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreUnavailable,
    WorkflowError,
    WriteRejected,
)
from workflow_ray_adapters.sql.database import Aborted

_driver: Any = PGDialect_asyncpg.import_dbapi()  # type: ignore[no-untyped-call]  # SQLAlchemy says no types here
OF_DRIVER = (
    AsyncAdapt_asyncpg_dbapi.Error,
    _driver.asyncpg.PostgresError,
    _driver.asyncpg.InterfaceError,
)
"""Errors that SQLAlchemy does not wrap."""
# another one's key, a serialization failure, a deadlock, a lock that is not free
IN_THE_WAY = {"23505", "40001", "40P01", "55P03"}
UNKNOWN_USER = {"28000", "28P01"}
NO_RIGHT = "42501"
NO_DATABASE = "3D000"
NO_TABLE = "42P01"
NO_ROOM = "53100"
READ_ONLY = "25006"
# classes: values that no column holds, constraints, limits of the server
UNFIT = ("22", "23", "54")


@contextmanager
def translate_errors(where: str) -> Generator[None]:
    """Raise the ports' errors, or Aborted, in place of the driver's and the network's."""
    try:
        yield
    except DBAPIError as error:
        raise _of_database(where, error.orig) from error
    except OF_DRIVER as error:
        raise _of_database(where, error) from error
    except TimeoutError as error:
        raise StoreUnavailable(
            where, "it doesn't answer. See whether the server runs, and can be reached from here."
        ) from error
    except OSError as error:
        raise StoreUnavailable(
            where,
            f"it can't be reached ({error.strerror or error}). See whether the server runs there.",
        ) from error


def _of_database(where: str, error: BaseException | None) -> Exception:
    cause = error.__cause__ if isinstance(error, AsyncAdapt_asyncpg_dbapi.Error) else error
    code = str(getattr(cause, "sqlstate", None) or "")
    message = str(cause).partition("\n")[0]
    return Aborted(message) if code in IN_THE_WAY else _by_code(where, code, message)


def _by_code(where: str, code: str, message: str) -> WorkflowError:
    if code in UNKNOWN_USER:
        return AccessDenied(where, f"{message}. Give the right user and password in the URL.")
    if code == NO_RIGHT:
        return AccessDenied(where, f"{message}. Give this user the right to it.")
    if code == NO_DATABASE:
        return StoreMissing(where, f"{message}. Create it first, or name another.")
    if code == NO_TABLE:
        return NotAStore(
            where,
            f"{message}. `workflow-ray deploy` makes the tables; restore lost ones from a backup.",
        )
    if code == NO_ROOM:
        return StoreFull(
            where,
            f"the store has no room for the write ({message}). Nothing of it was stored; make room"
            " and try again.",
        )
    if code == READ_ONLY:
        return StoreReadOnly(
            where,
            f"{message}. After a failover it passes by itself. Otherwise name the primary server,"
            " with a user who may write.",
        )
    if code.startswith(UNFIT):
        return WriteRejected(message)
    return StoreUnavailable(
        where, f"it failed ({message}). Try again; if it goes on, look at the server's log."
    )
