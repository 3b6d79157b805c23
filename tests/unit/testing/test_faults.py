"""FaultyProxy, in front of a server that echoes lines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from workflow_ray.testing.faults import FaultyProxy


class Client:
    """Sends lines, and reads them back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def echo(self, line: str) -> str:
        self._writer.write(f"{line}\n".encode())
        return (await self._reader.readuntil(b"\n")).decode().strip()

    def close(self) -> None:
        self._writer.close()


Connect: TypeAlias = Callable[[], Awaitable[Client]]


@pytest.fixture
def arrived() -> list[str]:
    """The lines that reached the server."""
    return []


@pytest.fixture
async def proxy(arrived: list[str]) -> AsyncIterator[FaultyProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            arrived.append(line.decode().strip())
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultyProxy(*server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy


@pytest.fixture
async def connect(proxy: FaultyProxy) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def connect() -> Client:
            client = Client(*await asyncio.open_connection(proxy.host, proxy.port))
            stack.callback(client.close)
            return client

        yield connect


async def test_without_a_fault_all_messages_are_forwarded_and_counted(
    proxy: FaultyProxy, connect: Connect
) -> None:
    one, two = await connect(), await connect()
    assert [await one.echo("a"), await two.echo("b"), await one.echo("c")] == ["a", "b", "c"]
    assert proxy.messages == 3


async def test_a_cut_ends_all_connections_and_the_server_gets_the_last_message(
    proxy: FaultyProxy, connect: Connect, arrived: list[str]
) -> None:
    one, two = await connect(), await connect()
    proxy.cut_after(2)
    await one.echo("a")
    for client in (one, two):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.echo("b")
    await until(lambda: arrived == ["a", "b"])


async def test_a_cut_after_no_message_ends_old_connections_and_refuses_new_ones(
    proxy: FaultyProxy, connect: Connect, arrived: list[str]
) -> None:
    old = await connect()
    await old.echo("a")
    proxy.cut_after(0)
    for client in (old, await connect()):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.echo("b")
    assert arrived == ["a"]


async def test_connections_are_accepted_again_after_a_heal(
    proxy: FaultyProxy, connect: Connect
) -> None:
    proxy.cut_after(0)
    proxy.heal()
    assert await (await connect()).echo("a") == "a"


async def test_messages_that_are_held_back_arrive_after_a_heal(
    proxy: FaultyProxy, connect: Connect, arrived: list[str]
) -> None:
    client = await connect()
    proxy.hold_after(1)
    await client.echo("a")
    waiting = asyncio.create_task(client.echo("b"))
    await proxy.held()
    assert arrived == ["a"]
    proxy.heal()
    assert await waiting == "b"
    assert await client.echo("c") == "c"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
