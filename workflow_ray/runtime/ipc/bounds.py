"""Bounds how much a server works on at a time, in requests and in bytes."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Bounds:
    """The load above which a server refuses requests.

    The bounds of one connection are lower, so that one slow client leaves room for the others.

    Attributes:
        requests: Unanswered requests of all connections, long polls included.
        requests_per_connection: Unanswered requests of one connection.
        size: Bytes of the unanswered requests of all connections.
        size_per_connection: Bytes of the unanswered requests of one connection.
        unread: Bytes of answers that the client of one connection has not read yet. One answer
            may exceed it if the client has read all others.
    """

    requests: int = 32768
    requests_per_connection: int = 8192
    size: int = 512 * MIB
    size_per_connection: int = 128 * MIB
    unread: int = 64 * MIB


DEFAULT = Bounds()


@dataclass
class Load:
    """The unanswered requests of one connection or of all."""

    requests: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        """Count one more request of `size` bytes."""
        self.requests += 1
        self.size += size

    def remove(self, size: int) -> None:
        """Stop counting a request of `size` bytes."""
        self.requests -= 1
        self.size -= size

    def __str__(self) -> str:
        return f"{self.requests} requests with {self.size} bytes"
