"""Finds adapters by the scheme of a URL.

Ours are in a table that imports nothing. Others are entry points of the group
`workflow_ray.adapters`.
"""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, TypeVar, cast, runtime_checkable

from workflow_ray.errors import AdapterNotInstalled, InvalidInput, UnfitAdapter, UnknownScheme
from workflow_ray.ports.clock import Clock
from workflow_ray.ports.codec import RunKeys
from workflow_ray.ports.event_streamer import EventStreamer
from workflow_ray.ports.store import Records
from workflow_ray.ports.timeout_store import TimeoutStore
from workflow_ray.ports.transactions import Transactions

A = TypeVar("A", bound="Adapter")

GROUP = "workflow_ray.adapters"
OURS = {  # a scheme -> its adapter, and the extra that brings what it needs
    "memory": ("workflow_ray_adapters.memory:MemoryAdapter", ""),
    "sqlite": ("workflow_ray_adapters.sql:SqliteAdapter", ""),
    "postgresql": ("workflow_ray_adapters.sql:PostgresqlAdapter", "postgresql"),
    "mysql": ("workflow_ray_adapters.sql:MariadbAdapter", "mariadb"),
    "mariadb": ("workflow_ray_adapters.sql:MariadbAdapter", "mariadb"),
    "redis": ("workflow_ray_adapters.redis:RedisAdapter", "redis"),
    "rediss": ("workflow_ray_adapters.redis:RedisAdapter", "redis"),
    "kafka": ("workflow_ray_adapters.kafka:KafkaAdapter", "kafka"),
}


class Adapter(Protocol):
    """Opens what the URLs of a scheme name.

    It imports and opens nothing before it is asked to. Its `open_` methods say what it can hold.
    """

    def canonical(self, url: str) -> str:
        """Return the one spelling of `url` that all processes use: absolute, without secrets, and
        without what makes no difference.
        """
        ...

    def create(self, url: str) -> str:
        """Make the store if it does not exist, bring its schema up to date, and return its id.

        It may be repeated, and several processes may call it at once. It may block, so do not call
        it in the thread of an event loop. If the server does not answer, it raises within 5
        seconds.

        Raises:
            StoreMissing: The server does not have the database.
            StoreError: Another of its kinds, such as StoreUnavailable, AccessDenied, NotAStore,
                StoreTooNew, StoreReadOnly, StoreFull or StoreInUse.
        """
        ...


@runtime_checkable
class RecordsAdapter(Adapter, Protocol):
    """An adapter that holds records, and events and timeouts too if it opens a WholeStore."""

    @property
    def shared(self) -> bool:
        """Whether several processes can work on a store side by side. True for a server's store,
        False for an embedded one.
        """
        ...

    def open_records(
        self,
        url: str,
        *,
        clock: Clock,
        store_id: str | None = None,
        exclusive: bool = True,
        patience: float = 5.0,
    ) -> AbstractAsyncContextManager[Records]:
        """Return the store, not yet open: `async with` opens it. It never creates the store.

        Args:
            url: The URL of the store.
            clock: The store's clock. For SystemClock the store reads its own clock.
            store_id: The id that the store must have. None: any.
            exclusive: Be the one process that serves roles as long as the store is open. The lock
                ends with the process, however that ends. False: be a client, or one of several
                processes that share roles. Both are safe, because each write is a transaction that
                checks what it builds on.
            patience: Seconds to wait until another exclusive process has gone.

        Raises:
            StoreMissing: When it is entered: the store does not exist.
            StoreMismatch: When it is entered: the store has another id.
            StoreInUse: When it is entered: another process has the store exclusively.
            StoreError: When it is entered: what `create` raises.
        """
        ...


@runtime_checkable
class EventsAdapter(Adapter, Protocol):
    """An adapter that holds events."""

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        """Return the streamer, not yet open, for events whose records are in another store.

        When it is entered, it raises what `create` raises.
        """
        ...


@runtime_checkable
class TimeoutsAdapter(Adapter, Protocol):
    """An adapter that holds timeouts."""

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[TimeoutStore]:
        """Return the store of timeouts, not yet open, for records that are in another store.

        When it is entered, it raises what `create` raises.
        """
        ...


@runtime_checkable
class TransactionsAdapter(Adapter, Protocol):
    """An adapter whose stores can be written to in transactions of the application."""

    def transactions(self, url: str, *, clock: Clock, store_id: str) -> Transactions:
        """Return what writes into a store in such transactions. It opens nothing.

        Args:
            url: The URL of the store.
            clock: The store's clock, as for `open_records`.
            store_id: The id that the store must have.
        """
        ...


@runtime_checkable
class RunKeysAdapter(Adapter, Protocol):
    """An adapter that holds the keys of runs, apart from records."""

    def run_keys(self, url: str) -> RunKeys:
        """Return the keys in the database that the URL names. It opens nothing."""
        ...


def path_in_url(path: str) -> str:
    """Write a file's path as part of a URL: `?` becomes %3F, for example."""
    return path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def has_unescaped_userinfo(url: str) -> bool:
    """Whether a user or password in the URL has a mark that is not percent-encoded.

    Then an `@` stands twice, or behind the part that names the host. Any part of such a URL may be
    a piece of the password, so none of it may be shown.
    """
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    return rest.count("@") > 1 or "@" in rest[len(authority) :]


def scheme_of(url: str) -> str:
    """Return `sqlite` for `sqlite:///shop.db`; for `postgresql+asyncpg://...`, `postgresql`."""
    return url.partition(":")[0].partition("+")[0].lower()


def adapter_for(url: str) -> Adapter:
    """Return the adapter of the URL's scheme.

    Raises:
        InvalidInput: The URL does not begin with a scheme.
        UnknownScheme: No adapter has the scheme. The error names the known ones.
        AdapterNotInstalled: The error names the extra to install.
    """
    scheme = scheme_of(url)
    if "@" in scheme:  # The scheme may be a piece of a password.
        raise InvalidInput("the URL", "begin it with a scheme, as in postgresql://host/database")
    if scheme in OURS:
        return _ours(scheme)
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme in others:
        return cast(Callable[[], Adapter], others[scheme].load())()
    raise UnknownScheme(
        scheme,
        sorted(
            [
                *(f"{name} [{extra}]" if extra else name for name, (_, extra) in OURS.items()),
                *others,
            ]
        ),
    )


def records_adapter(url: str) -> RecordsAdapter:
    """Return the adapter, as `adapter_for` does. Raises UnfitAdapter: it can't hold records."""
    return _fit(url, RecordsAdapter, "records")  # type: ignore[type-abstract]  # a protocol is as good as a class here


def events_adapter(url: str) -> EventsAdapter:
    """Return the adapter, as `adapter_for` does. Raises UnfitAdapter: it can't hold events."""
    return _fit(url, EventsAdapter, "events")  # type: ignore[type-abstract]  # as above


def timeouts_adapter(url: str) -> TimeoutsAdapter:
    """Return the adapter, as `adapter_for` does. Raises UnfitAdapter: it can't hold timeouts."""
    return _fit(url, TimeoutsAdapter, "timeouts")  # type: ignore[type-abstract]  # as above


def run_keys_of(url: str) -> RunKeys:
    """Return the keys of runs in a database, as `adapter_for` finds its adapter.

    Raises UnfitAdapter: the adapter can't hold keys of runs.
    """
    return _fit(url, RunKeysAdapter, "keys of runs").run_keys(url)  # type: ignore[type-abstract]  # as above


def transactions_of(url: str, *, clock: Clock, store_id: str) -> Transactions | None:
    """Return what writes into the store in transactions of the application.

    None: the store's adapter is not a TransactionsAdapter.

    Args:
        url: The URL of the store.
        clock: The store's clock.
        store_id: The id that the store must have.
    """
    adapter = adapter_for(url)
    if not isinstance(adapter, TransactionsAdapter):
        return None
    return adapter.transactions(url, clock=clock, store_id=store_id)


def _fit(url: str, kind: type[A], what: str) -> A:
    adapter = adapter_for(url)
    if isinstance(adapter, kind):
        return adapter
    raise UnfitAdapter(scheme_of(url), what)


def _ours(scheme: str) -> Adapter:
    path, extra = OURS[scheme]
    module, _, attribute = path.partition(":")
    try:
        return cast(Callable[[], Adapter], getattr(import_module(module), attribute))()
    except ImportError as error:
        if not extra:
            raise
        raise AdapterNotInstalled(scheme, extra, str(error)) from error
