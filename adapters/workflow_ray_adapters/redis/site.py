"""Checks whether there is a store under a prefix, and creates it."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError
from redis.retry import Retry

from workflow_ray.errors import NotAStore, StoreMismatch, StoreMissing, StoreReadOnly, StoreTooNew
from workflow_ray_adapters.redis.address import CONNECTING, Address
from workflow_ray_adapters.redis.faults import translate_errors
from workflow_ray_adapters.redis.scripts import INDEX

log = logging.getLogger(__name__)

FORMAT = 4
"""The version of the keys and values that the scripts keep."""
USABLE_FROM = 4
"""The oldest format whose code can read and write this one: those since then have only added to it.
A format that does more sets it to its own. The store keeps it, so that older code can tell.
"""
READABLE_FROM = 2
"""The oldest format that this code can read and write. `make` raises it to this one."""
OLDEST = 7  # the version of Redis that has stream ids `0-*` and scripts with flags
AT_ONCE = 10_000  # keys that one command examines
Client: TypeAlias = Any  # redis.Redis, much of which is untyped
SETTINGS = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite")


def make(address: Address) -> str:
    """Create the store if there is none, or raise its format, and return its id."""
    with _connect(address) as client:
        _check_server(address, client.info())
        if not (found := _marks(address, client)):
            if _others(address, client) and not _marks(address, client):
                raise NotAStore(
                    str(address), "another program has keys under its prefix. Name another prefix."
                )
            # If several processes do this at once, the first one sets the id.
            with client.pipeline(transaction=True) as transaction:
                transaction.hsetnx(_store(address), "id", str(uuid4()))
                transaction.hsetnx(_store(address), "format", str(FORMAT))
                transaction.hsetnx(_store(address), "usable_from", str(USABLE_FROM))
                transaction.execute()
            found = _marks(address, client)
        store_id = _check_marks(address, found)
        if int(found["format"]) < FORMAT:
            _index(address, client, store_id)
            marks = {"format": str(FORMAT), "usable_from": str(USABLE_FROM)}
            client.hset(_store(address), mapping=marks)
        return store_id


def _index(address: Address, client: Client, store_id: str) -> None:
    """Add what earlier formats did not have: which messages and timeouts a run has.

    It may be done again, and the store may be used meanwhile.
    """
    base = address.base
    names = [key.removeprefix(f"{base}:") for key in client.scan_iter(match=f"{base}:messages:*")]
    for name in (*names, "timeouts"):
        cursor = "0"
        while (cursor := client.eval(INDEX.text, 1, base, store_id, name, cursor)) != "0":
            pass


def check(address: Address, store_id: str | None = None) -> str:
    """Return the id of a store that can be opened. Writes nothing.

    Logs a warning if a crash could lose acknowledged writes.

    Raises StoreMissing, NotAStore, StoreTooNew, StoreMismatch, StoreReadOnly.
    """
    where = str(address)
    with _connect(address) as client:
        _check_server(address, client.info())
        found = _check_marks(address, _marks(address, client))
        if store_id not in (None, found):
            raise StoreMismatch(
                where,
                f"its store id is {found}; this deployment was made on {store_id}. Name the URL of"
                " that one.",
            )
        if weakness := _weakness(client):
            log.warning(
                "%s: %s. docs/redis.md says what that can lose, and how to fix it", where, weakness
            )
    return found


@contextmanager
def _connect(address: Address) -> Generator[Client]:
    with translate_errors(str(address)):
        client = Redis(
            **address.connection,
            socket_timeout=CONNECTING,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        try:
            yield client
        finally:
            client.close()


def _check_server(address: Address, server: Mapping[str, Any]) -> None:
    where, version = str(address), str(server["redis_version"])
    if int(version.partition(".")[0]) < OLDEST:
        raise NotAStore(where, f"it is Redis {version}; a store needs {OLDEST} or newer.")
    if server.get("role") == "slave":
        raise StoreReadOnly(where, "it is a replica, which can't be written. Name its primary.")
    if (policy := server.get("maxmemory_policy", "noeviction")) != "noeviction":
        why = (
            f"its maxmemory-policy is {policy}: it would drop runs when its memory is full. Set"
            " maxmemory-policy to noeviction."
        )
        raise NotAStore(where, why)


def _store(address: Address) -> str:
    return f"{address.base}:store"


def _marks(address: Address, client: Client) -> dict[str, str]:
    """Return the fields that mark a store; empty: there is none."""
    try:
        return {str(name): str(value) for name, value in client.hgetall(_store(address)).items()}
    except NoPermissionError:
        raise
    except ResponseError as error:
        raise NotAStore(
            str(address),
            f"another program has the key {_store(address)} ({error}). Name another prefix.",
        ) from error


def _others(address: Address, client: Client) -> bool:
    """Whether there are any keys under the prefix."""
    return next(iter(client.scan_iter(match=f"{address.base}:*", count=AT_ONCE)), None) is not None


def _check_marks(address: Address, marks: Mapping[str, str]) -> str:
    where = str(address)
    if not marks:
        raise StoreMissing(
            where,
            "nothing was deployed there yet. `workflow-ray deploy` or `worker` makes it a store.",
        )
    if not marks.get("id") or not marks.get("format", "").isdecimal():
        raise NotAStore(
            where, f"another program has the key {_store(address)}. Name another prefix."
        )
    if int(marks["format"]) < READABLE_FROM:
        way_out = (
            "Let its runs finish with the version of workflow_ray that made it, and name another"
            " prefix for new ones."
        )
        raise NotAStore(
            where,
            f"its format {marks['format']} is an old one, which this code can't read. {way_out}",
        )
    if int(marks["format"]) > FORMAT and not int(marks.get("usable_from", FORMAT + 1)) <= FORMAT:
        raise StoreTooNew(
            where,
            f"its format {marks['format']} is newer than this code's {FORMAT}. Update"
            " workflow_ray.",
        )
    return marks["id"]


def _weakness(client: Client) -> str | None:
    """Say why a crash of the server could lose acknowledged writes, as far as it tells."""
    try:
        settings = client.config_get(*SETTINGS)
    except ResponseError:  # managed servers do not show it
        return "it does not show whether a crash of the server can lose the last writes"
    if settings.get("appendonly") != "yes":
        return "a crash of the server loses all writes since its last snapshot: appendonly is off"
    if settings.get("appendfsync") != "always":
        return (
            "a crash of the machine can lose the last writes: appendfsync is"
            f" {settings.get('appendfsync')}, not always"
        )
    if settings.get("no-appendfsync-on-rewrite") == "yes":
        return (
            "a crash of the machine can lose writes made while it rewrites its file:"
            " no-appendfsync-on-rewrite is yes"
        )
    return None
