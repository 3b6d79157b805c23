"""Ports and packets on loopback."""

import socket

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return `count` different ports on which no process listens."""
    # All are held until all are chosen.
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def exchange(port: int, said: bytes, count: int) -> bytes:
    """Send a message, and return the first `count` bytes of the answer.

    Raises OSError: no server answers, or its answer is shorter.
    """
    with socket.create_connection((HOST, port), timeout=5) as connection:
        connection.sendall(said)
        answer = b""
        while len(answer) < count:
            part = connection.recv(count - len(answer))
            if not part:
                raise ConnectionError(f"port {port} closed after {len(answer)} bytes")
            answer += part
        return answer
