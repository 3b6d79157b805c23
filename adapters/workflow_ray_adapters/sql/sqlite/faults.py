"""Translate the errors of SQLite and of the file system."""

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from workflow_ray.errors import (
    NotAStore,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreUnavailable,
    WorkflowError,
    WriteRejected,
)

PRIMARY = 0xFF  # an extended result code has its primary one in the lowest byte
# quotas and size limits appear as I/O errors
NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
READ_ONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)
UNFIT = (
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_RANGE,
)


@contextmanager
def translate_errors(where: str) -> Generator[None]:
    """Raise the ports' errors in place of the driver's and the system's."""
    try:
        yield
    except DBAPIError as error:
        raise _of_database(where, error.orig) from error
    except sqlite3.Error as error:
        raise _of_database(where, error) from error
    except OSError as error:
        raise _of_system(where, error) from error
    except (
        UnicodeEncodeError,
        OverflowError,
    ) as error:  # raised while values are bound: text or numbers that no column can hold
        raise WriteRejected(str(error)) from error


def is_locked(error: WorkflowError) -> bool:
    """Return whether the error says that another program holds the write lock."""
    cause = error.__cause__
    return _code(cause.orig if isinstance(cause, DBAPIError) else cause) & PRIMARY in LOCKED


def _code(error: BaseException | None) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code


def _of_database(where: str, error: BaseException | None) -> WorkflowError:
    code = _code(error)
    primary = code & PRIMARY
    if code in NO_ROOM:
        return StoreFull(
            where,
            f"the store has no room for the write ({error}). Nothing of it was stored; make room"
            " and try again.",
        )
    if primary in LOCKED:
        return StoreUnavailable(
            where,
            "another program holds its write lock. End that program's transaction, or try again.",
        )
    if primary in READ_ONLY:
        return StoreReadOnly(
            where,
            f"it can't be written ({error}). Make the file and its folder writable for this user.",
        )
    if primary == sqlite3.SQLITE_NOTADB:
        return NotAStore(where, "this is not a SQLite database. Name another file.")
    if primary == sqlite3.SQLITE_CORRUPT:
        return NotAStore(where, f"the database is damaged ({error}). Restore it from a backup.")
    if primary in UNFIT or isinstance(error, sqlite3.InterfaceError):
        return WriteRejected(str(error))
    return StoreUnavailable(
        where, f"SQLite failed ({error}). Try again; if it goes on, look at the disk."
    )


def _of_system(where: str, error: OSError) -> WorkflowError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreFull(
            where, f"the disk has no room for it ({error.strerror}). Make room and try again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreReadOnly(
            where,
            f"it can't be written ({error.strerror}). Make the file and its folder writable for"
            " this user.",
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return StoreMissing(where, "its folder doesn't exist. Make that first.")
    return StoreUnavailable(where, f"the system refuses it ({error.strerror}).")
