"""How much a server has in hand at a time, in requests and in bytes."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Bounds:
    """What a server refuses beyond; one slow client takes up a connection's share at most.

    Attributes:
        requests: Requests in hand, of all connections; long polls included.
        requests_per_connection: The same of one connection.
        size: Bytes of the requests in hand, of all connections.
        size_per_connection: The same of one connection.
        unread: Bytes of answers that the client of one connection has not read yet. One answer
            may go beyond it, where the client has read all others.
    """

    requests: int = 32768
    requests_per_connection: int = 8192
    size: int = 512 * MIB
    size_per_connection: int = 128 * MIB
    unread: int = 64 * MIB


DEFAULT = Bounds()


@dataclass
class Load:
    """The requests in hand, of one connection or of all."""

    requests: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        """Count one more request of `size` bytes."""
        self.requests += 1
        self.size += size

    def remove(self, size: int) -> None:
        """Count it no longer."""
        self.requests -= 1
        self.size -= size

    def __str__(self) -> str:
        return f"{self.requests} requests with {self.size} bytes"
