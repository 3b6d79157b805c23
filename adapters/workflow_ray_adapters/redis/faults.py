"""Translates the errors of Redis and of its driver into the ports' errors."""

from collections.abc import Generator
from contextlib import contextmanager

from redis import exceptions

from workflow_ray.errors import (
    AccessDenied,
    NotAStore,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
    StoreUnavailable,
)


@contextmanager
def translate_errors(where: str) -> Generator[None]:
    """Raise the ports' errors in place of the driver's and the system's."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:  # TimeoutError is an OSError
        raise _explanation(where, error) from error


def _explanation(where: str, error: Exception) -> StoreError:
    match error:
        case exceptions.AuthenticationError() | exceptions.AuthenticationWrongNumberOfArgsError():
            return AccessDenied(
                where, f"it refuses the user or the password ({error}). Name others in the URL."
            )
        case exceptions.NoPermissionError() | exceptions.AuthorizationError():
            return AccessDenied(
                where,
                f"its user may not do what a store needs ({error}). See docs/redis.md for what to"
                " allow.",
            )
        case exceptions.OutOfMemoryError():
            return StoreFull(
                where,
                "its memory is full. Nothing was stored; raise maxmemory, or remove data.",
            )
        case exceptions.BusyLoadingError():
            return StoreUnavailable(where, "it is still loading its data. Try again in a moment.")
        case exceptions.ReadOnlyError():
            return StoreReadOnly(
                where,
                "it has become a replica, which can't be written. A new primary should be"
                " available in a moment.",
            )
        case exceptions.MovedError():
            return StoreUnavailable(
                where,
                f"it is a node of a cluster, and the store is on another node ({error}). Name"
                " that node.",
            )
        case exceptions.InvalidResponse():
            return NotAStore(
                where, "the server there is not a Redis server. Name another host or port."
            )
        case exceptions.ResponseError():
            return _refusal(where, str(error))
        case exceptions.TimeoutError() | TimeoutError():
            return StoreUnavailable(
                where,
                "it didn't answer in time. Check that the server runs and can be reached from"
                " here.",
            )
        case _:
            return StoreUnavailable(
                where,
                f"it can't be reached ({error}). Check that the server runs and can be reached from"
                " here.",
            )


def _refusal(where: str, why: str) -> StoreError:
    """Translate an error answer for which the driver has no class."""
    if why.startswith("GONE"):
        return StoreMissing(
            where,
            "the store no longer exists: the server was emptied, or started without its data."
            " Restore the data.",
        )
    if "DB index is out of range" in why or "SELECT is not allowed" in why:
        return StoreMissing(
            where, "the server has no such database. Name another number, or raise its `databases`."
        )
    if why.startswith("MISCONF") and "space" in why:
        return StoreFull(
            where,
            f"it has no room on its disk ({why}). Nothing was stored; make room and try again.",
        )
    if why.startswith("NOREPLICAS"):
        return StoreReadOnly(
            where,
            f"it has too few replicas to be written ({why}). Nothing was stored; restore the"
            " replicas.",
        )
    if why.startswith("WRONGTYPE"):
        return NotAStore(
            where,
            f"another program has changed keys under its prefix ({why}). Name another prefix.",
        )
    return StoreUnavailable(where, f"Redis refuses it ({why}).")
