"""Adapters by URL: ours by a lazy table, third parties' by entry points of the group `workflow_ray.adapters`."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from workflow_ray.errors import UnknownScheme
from workflow_ray.ports.clock import Clock
from workflow_ray.ports.store import OpenStore

GROUP = "workflow_ray.adapters"
OURS = {
    "memory": "workflow_ray_adapters.memory:MemoryAdapter",
    "sqlite": "workflow_ray_adapters.sql:SqliteAdapter",
}


class Adapter(Protocol):
    """What a scheme stands for. Nothing is imported or opened before it is asked for."""

    def canonical(self, url: str) -> str:
        """The one spelling of `url` by which everybody names this store: absolute, without what doesn't matter."""
        ...

    def create(self, url: str) -> str:
        """Make the store if there is none, bring its schema up to date, and return its store id. Safe to repeat.

        Raises NotAStore, StoreTooNew, StoreReadOnly, StoreFull, StoreInUse.
        """
        ...

    def open(self, url: str, *, clock: Clock, store_id: str | None = None, exclusive: bool = True, patience: float = 5.0) -> OpenStore:
        """The store, not yet open: `async with` opens it, and never creates it.

        store_id: refuse (StoreMismatch) a store with another id.
        exclusive: be the one that serves roles: an embedded store holds an OS lock for as long as it is open, after waiting
        up to `patience` seconds for another's to go (then StoreInUse). False: a client beside it; safe, since every write is a
        transaction that trusts nothing read before it.
        Raises, when entered, StoreMissing and what `create` raises.
        """
        ...


def scheme_of(url: str) -> str:
    """`sqlite` of `sqlite:///shop.db`; a driver, as in `postgresql+asyncpg`, doesn't count."""
    return url.partition(":")[0].partition("+")[0].lower()


def adapter_for(url: str) -> Adapter:
    """The adapter that answers to the URL's scheme. Raises UnknownScheme, naming the known ones."""
    scheme = scheme_of(url)
    if scheme in OURS:
        module, _, attribute = OURS[scheme].partition(":")
        return cast(Callable[[], Adapter], getattr(import_module(module), attribute))()
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if scheme in others:
        return cast(Callable[[], Adapter], others[scheme].load())()
    raise UnknownScheme(scheme, sorted({*OURS, *others}))
