"""A client waits for a server that does not read, and buffers a bounded amount for it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.unit.runtime.ipc.peers import MANY, MIB, Peer, turns
from tests.unit.runtime.ipc.serving import until
from workflow_ray.errors import StoreUnavailable
from workflow_ray.runtime.ipc import IpcTransport
from workflow_ray.runtime.ipc.frames import HIGH_WATER, Frame, Kind


@pytest.fixture
async def silent(socket_path: str) -> AsyncIterator[list[Peer]]:
    """The servers of the connections, which neither read before `read_again` nor answer."""
    peers: list[Peer] = []

    def accept() -> Peer:
        peers.append(Peer(reads=False))
        return peers[-1]

    async with await asyncio.get_running_loop().create_unix_server(accept, socket_path):
        yield peers
        for peer in peers:
            peer.break_off("the test is over")


@pytest.fixture
async def connection(silent: list[Peer], socket_path: str) -> AsyncIterator[IpcTransport]:
    connection = await IpcTransport.connect(socket_path, ping=60)
    await until(lambda: len(silent) == 1)
    yield connection
    connection.close()


async def test_a_client_buffers_a_bounded_amount_for_a_server_that_does_not_read(
    connection: IpcTransport, silent: list[Peer], memory: Callable[[], int]
) -> None:
    body = bytes(MIB)
    calls = [asyncio.create_task(connection.call("store", body, deadline=60)) for _ in range(MANY)]
    await turns()
    assert memory() < HIGH_WATER + 6 * MIB
    (server,) = silent
    server.read_again()
    await until(lambda: len(server.calls) == MANY)
    requests = [frame.request for frame in server.calls]
    assert requests == sorted(requests)
    for request in requests:
        server.send(Frame(Kind.ANSWER, request, body=b"done"))
    async with asyncio.timeout(10):
        assert await asyncio.gather(*calls) == [b"done"] * MANY


async def test_a_call_whose_deadline_ends_before_the_server_reads_is_never_sent(
    connection: IpcTransport, silent: list[Peer]
) -> None:
    first = asyncio.create_task(connection.call("store", bytes(2 * HIGH_WATER), deadline=60))
    await turns()
    with pytest.raises(StoreUnavailable, match=r"has not answered within .* \(lag\)"):
        await connection.call("lag", b"", deadline=0.01)
    later = asyncio.create_task(connection.call("ends", b"", deadline=60))
    (server,) = silent
    server.read_again()
    await until(lambda: len(server.calls) == 2)
    assert [frame.name for frame in server.calls] == ["store", "ends"]
    assert Kind.CANCEL not in {frame.kind for frame in server.frames}
    first.cancel()
    later.cancel()


async def test_calls_that_wait_for_room_fail_at_once_when_the_connection_breaks(
    connection: IpcTransport, silent: list[Peer]
) -> None:
    calls = [
        asyncio.create_task(connection.call("store", bytes(HIGH_WATER + 1), deadline=60))
        for _ in range(3)
    ]
    await turns()
    silent[0].break_off("the test says so")
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3


async def test_a_server_whose_large_answer_arrives_slowly_is_not_taken_for_dead(
    socket_path: str,
) -> None:
    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"runs")
        request = int.from_bytes(head[-13:-5], "little")
        writer.write(
            (MIB).to_bytes(4, "little")
            + bytes([Kind.ANSWER])
            + request.to_bytes(8, "little")
            + b"\0"
        )
        for _ in range(32):
            await asyncio.sleep(0.01)  # 0.32 s in all; three pings are missed after 0.15 s
            writer.write(bytes(MIB // 32))
        writer.close()

    async with await asyncio.start_unix_server(answer_slowly, socket_path):
        connection = await IpcTransport.connect(socket_path, ping=0.05)
        assert await connection.call("runs", b"", deadline=60) == bytes(MIB)
        connection.close()
