"""The connections of an open store."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError

from workflow_ray_adapters.redis.address import ANSWERING, Address
from workflow_ray_adapters.redis.faults import translate_errors
from workflow_ray_adapters.redis.rows import Answer
from workflow_ray_adapters.redis.scripts import Script

Argument: TypeAlias = str | bytes | int
Client: TypeAlias = Any  # redis.asyncio.Redis, much of which is untyped
CONNECTIONS = 16


class Server:
    """Runs scripts.

    Nothing is sent twice: whether a call that broke was executed is unknown, and its caller decides
    what to do.
    """

    def __init__(self, address: Address, store_id: str, client: Client) -> None:
        self.address = address
        self.store_id = store_id
        self.client = client

    @property
    def where(self) -> str:
        """The store's name for people, without a password."""
        return str(self.address)

    async def call(self, script: Script, *arguments: Argument) -> Any:
        """Run the script, and return its answer.

        Raises the ports' errors; StoreUnavailable after ANSWERING seconds without an answer.
        """
        with translate_errors(self.where):
            async with asyncio.timeout(ANSWERING):
                try:
                    return await self._run("EVALSHA", script.digest, *arguments)
                except NoScriptError:  # It was not executed.
                    return await self._run("EVAL", script.text, *arguments)
                except ReadOnlyError:
                    # The next connection looks up the host's name again, which may lead to the new
                    # primary.
                    await self.client.connection_pool.disconnect(inuse_connections=False)
                    raise

    async def _run(self, command: str, script: str, *arguments: Argument) -> Any:
        return await self.client.execute_command(
            command, script, 1, self.address.base, self.store_id, *arguments
        )


@asynccontextmanager
async def connect(address: Address, store_id: str) -> AsyncGenerator[Server]:
    """Give a server. It connects when needed, and again after a connection broke."""
    pool = BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=ANSWERING,
        connection_class=SSLConnection if address.tls else Connection,
        # `call` has a timeout: the driver would use asyncio.wait_for, which swallows cancellation
        # before
        # Python 3.12.
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        **{name: value for name, value in address.connection.items() if name != "ssl"},
    )
    client = Redis(connection_pool=pool)
    try:
        yield Server(address, store_id, client)
    finally:
        await pool.disconnect()


def pairs(flat: Answer) -> Iterator[tuple[bytes, bytes]]:
    """Decode a hash as a script returns it."""
    return zip(flat[::2], flat[1::2], strict=True)
