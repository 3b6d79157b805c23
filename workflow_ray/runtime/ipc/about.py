"""What a client has to know of a store before it calls a method."""

from typing import Protocol

import msgspec

from workflow_ray.ports import OutboxMover, Store, Trimmer
from workflow_ray.runtime.mixed import keeps_timeouts_apart


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a store, and the optional ports that it implements.

    Attributes:
        moves: It is an OutboxMover.
        trims: It is a Trimmer.
        timeouts_apart: Its timeouts are in another store than its records.
    """

    store_id: str
    stream_id: str
    moves: bool
    trims: bool = False
    timeouts_apart: bool = False

    @property
    def ports(self) -> tuple[type, ...]:
        """The ports that the store implements."""
        optional = {OutboxMover: self.moves, Trimmer: self.trims}
        return (Store, *(port for port, is_implemented in optional.items() if is_implemented))


class Described(Protocol):
    """What a server adds to the ports of its store."""

    async def about(self) -> About:
        """Describe the store."""
        ...


def about(store: Store) -> About:
    """Describe the store."""
    return About(
        store_id=store.store_id,
        stream_id=store.stream_id,
        moves=isinstance(store, OutboxMover),
        trims=isinstance(store, Trimmer),
        timeouts_apart=keeps_timeouts_apart(store),
    )
