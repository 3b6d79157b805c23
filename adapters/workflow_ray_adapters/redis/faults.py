"""What the errors of Redis and of its driver mean to a caller."""

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
def explained(where: str) -> Generator[None]:
    """Raises the ports' errors in place of the driver's and the system's."""
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
                "its memory is full. Nothing was stored; raise maxmemory or remove what isn't"
                " needed.",
            )
        case exceptions.BusyLoadingError():
            return StoreUnavailable(where, "it is still loading its data. Try again in a moment.")
        case exceptions.ReadOnlyError():
            return StoreReadOnly(
                where,
                "it has become a replica, which can't be written. Another server should be there in"
                " a moment.",
            )
        case exceptions.MovedError():
            return StoreUnavailable(
                where,
                f"it is a cluster's node, and the store belongs on another ({error}). Name that"
                " one.",
            )
        case exceptions.InvalidResponse():
            return NotAStore(
                where, "what answers there is not a Redis server. Name another host or port."
            )
        case exceptions.ResponseError():
            return _refusal(where, str(error))
        case exceptions.TimeoutError() | TimeoutError():
            return StoreUnavailable(
                where,
                "it didn't answer in time. Look whether the server is up, and reachable from here.",
            )
        case _:
            return StoreUnavailable(
                where,
                f"it can't be reached ({error}). Look whether the server is up, and reachable from"
                " here.",
            )


def _refusal(where: str, why: str) -> StoreError:
    """Of an error that the server answers with, and the driver has no class for."""
    if why.startswith("GONE"):
        return StoreMissing(
            where,
            "the store isn't there any more: the server was emptied, or started without its data."
            " Restore that.",
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
            f"too few replicas are there for it to be written ({why}). Nothing was stored; look"
            " after them.",
        )
    if why.startswith("WRONGTYPE"):
        return NotAStore(
            where,
            f"keys under its prefix were changed by somebody else ({why}). Name another prefix.",
        )
    return StoreUnavailable(where, f"Redis refuses it ({why}).")
