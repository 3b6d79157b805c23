"""Adapters by URL: ours by a lazy table, third parties' by entry points of the group
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
from workflow_ray.ports.event_streamer import EventStreamer
from workflow_ray.ports.store import Records
from workflow_ray.ports.timeout_store import TimeoutStore

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
    """What a scheme stands for.

    Nothing is imported or opened before it is asked for. What it can hold its `open_` methods say.
    """

    def canonical(self, url: str) -> str:
        """The one spelling of `url` by which everybody names what is there: absolute, without what
        doesn't matter, and without secrets.
        """
        ...

    def create(self, url: str) -> str:
        """Make what isn't there yet, bring its schema up to date, and return its id. Safe to
        repeat, and by several at once.

        Answers or raises within 5 seconds where nobody is there: StoreUnavailable; AccessDenied;
        StoreMissing: the server has no such database; NotAStore, StoreTooNew, StoreReadOnly,
        StoreFull, StoreInUse. Not for an event loop's thread: it may block.
        """
        ...


@runtime_checkable
class RecordsAdapter(Adapter, Protocol):
    """Holds records; and events and timeouts too, where what it opens is a WholeStore."""

    @property
    def shared(self) -> bool:
        """True for a server's, that several processes work on side by side; False for an embedded
        one's.
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
        """The store, not yet open: `async with` opens it, and never creates it.

        store_id: refuse (StoreMismatch) a store with another id.
        exclusive: be the one process that serves roles, for as long as it is open, after waiting up
            to `patience` seconds for another such process to go (then StoreInUse); it ends with the
            process, however that ends. False: a client beside it, or one of several that share
            roles; safe, since every write is a transaction that trusts nothing read before it.
            Raises, when entered, StoreMissing and what `create` raises.
        """
        ...


@runtime_checkable
class EventsAdapter(Adapter, Protocol):
    """Holds events."""

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        """The streamer, for events whose records are elsewhere.

        Raises, when entered, what `create` raises.
        """
        ...


@runtime_checkable
class TimeoutsAdapter(Adapter, Protocol):
    """Holds timeouts."""

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[TimeoutStore]:
        """The store of timeouts, for records that are elsewhere.

        Raises, when entered, what `create` raises.
        """
        ...


def path_in_url(path: str) -> str:
    """A file's path as a URL has it: the characters that would end it are written as %3F and the
    like.
    """
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
    """`sqlite` of `sqlite:///shop.db`; a driver, as in `postgresql+asyncpg`, doesn't count."""
    return url.partition(":")[0].partition("+")[0].lower()


def adapter_for(url: str) -> Adapter:
    """The adapter that answers to the URL's scheme.

    Raises InvalidInput: it doesn't begin with a scheme; UnknownScheme, naming the known ones;
    AdapterNotInstalled, naming the extra to install.
    """
    scheme = scheme_of(url)
    if "@" in scheme:  # which may be a piece of a password
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
    """As `adapter_for`. Raises UnfitAdapter: it holds no records."""
    return _fit(url, RecordsAdapter, "records")  # type: ignore[type-abstract]  # a protocol is as good as a class here


def events_adapter(url: str) -> EventsAdapter:
    """As `adapter_for`. Raises UnfitAdapter: it holds no events."""
    return _fit(url, EventsAdapter, "events")  # type: ignore[type-abstract]  # as above


def timeouts_adapter(url: str) -> TimeoutsAdapter:
    """As `adapter_for`. Raises UnfitAdapter: it holds no timeouts."""
    return _fit(url, TimeoutsAdapter, "timeouts")  # type: ignore[type-abstract]  # as above


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
