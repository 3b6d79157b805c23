"""What a client has to know of a store before it calls a method."""

import msgspec

from workflow_ray.ports import OutboxMover, Store, Trimmer


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
