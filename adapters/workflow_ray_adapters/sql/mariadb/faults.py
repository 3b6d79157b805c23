"""Translate the errors of MariaDB, of its driver and of the network."""

from collections.abc import Generator
from contextlib import contextmanager

from asyncmy import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

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

PACKET_TOO_LARGE = 1153
# a newer row, another one's key, a lock that is not free, a deadlock, a table that was just
# altered, a lock that is not waited for
IN_THE_WAY = {1020, 1062, 1205, 1213, 1412, 3572}
UNKNOWN_USER = {1045, 1130, 1251, 1698}
NO_RIGHT = {1044, 1142, 1143, 1227, 1370}
NO_DATABASE = 1049
NO_TABLE = 1146
NO_ROOM = {1021, 1114}
UNREACHABLE = {2002, 2003, 2005}
FILE_SYSTEM = 1030  # its text names the system's error
NO_ROOM_THERE = ("error 28", "error: 28", "error 122", "error: 122")
READ_ONLY = {1290, 1792, 1836, 3100}
# values that no column holds, and limits of the server
UNFIT = {1048, 1118, 1136, 1264, 1265, 1300, 1301, 1366, 1406, 1690, 1977, 3140, 4025}


@contextmanager
def translate_errors(where: str) -> Generator[None]:
    """Raise the ports' errors, or Aborted, in place of the driver's and the network's."""
    try:
        yield
    except DBAPIError as error:
        raise _of_database(where, error.orig) from error
    except errors.MySQLError as error:
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
    except (UnicodeEncodeError, OverflowError) as error:  # raised while values are encoded
        raise WriteRejected(str(error)) from error
    except NoneFree as error:
        raise StoreUnavailable(
            where, "its connections are all in use. Try again in a moment."
        ) from error


def _of_database(where: str, error: BaseException | None) -> Exception:
    code, message = _read(error)
    return Aborted(message) if code in IN_THE_WAY else _by_code(where, code, message)


def _read(error: BaseException | None) -> tuple[int, str]:
    """Return the server's number, 0 where there is none, and its message."""
    match error.args if error is not None else ():
        case (int(code), str(message), *_):
            return code, message.partition("\n")[0]
        case _:
            return 0, str(error).partition("\n")[0]


def _by_code(where: str, code: int, message: str) -> WorkflowError:
    if code in UNKNOWN_USER:
        return AccessDenied(where, f"{message}. Give the right user and password in the URL.")
    if code in NO_RIGHT:
        return AccessDenied(where, f"{message}. Give this user the right to it.")
    if code == NO_DATABASE:
        return StoreMissing(where, f"{message}. Create it first, or name another.")
    if code == NO_TABLE:
        return NotAStore(
            where,
            f"{message}. `workflow-ray deploy` makes the tables; restore lost ones from a backup.",
        )
    if code in UNREACHABLE:
        return StoreUnavailable(
            where, f"it can't be reached ({message}). See whether the server runs there."
        )
    return _of_writing(where, code, message)


def _of_writing(where: str, code: int, message: str) -> WorkflowError:
    if code in NO_ROOM or (code == FILE_SYSTEM and any(text in message for text in NO_ROOM_THERE)):
        return StoreFull(
            where,
            f"the store has no room for the write ({message}). Nothing of it was stored; make room"
            " and try again.",
        )
    if code in READ_ONLY:
        return StoreReadOnly(
            where,
            f"{message}. After a failover it passes by itself. Otherwise name the primary server,"
            " with a user who may write.",
        )
    if code == PACKET_TOO_LARGE:
        return WriteRejected(
            f"{message}. Raise the server's max_allowed_packet: with 64M it takes all data that"
            " a run may have."
        )
    if code in UNFIT:
        return WriteRejected(message)
    return StoreUnavailable(
        where, f"it failed ({message}). Try again; if it goes on, look at the server's log."
    )
