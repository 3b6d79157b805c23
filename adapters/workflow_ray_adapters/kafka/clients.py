"""Starts aiokafka's clients of a cluster, and closes them without waiting for brokers that hang."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

# This is not in the public API: clients raise KafkaConnectionError without its cause.
from aiokafka.conn import create_conn

from workflow_ray.errors import AccessDenied, StoreError
from workflow_ray_adapters.kafka.address import Address, Server
from workflow_ray_adapters.kafka.faults import translate_errors
from workflow_ray_adapters.kafka.hedging import first_of
from workflow_ray_adapters.kafka.logs import guard

C = TypeVar("C")

STAGGER = 0.5
"""Seconds after which a second client is started in parallel with one that is not ready."""
DIAGNOSIS = 1.0
"""Seconds to find out why clients can't use a broker."""
CLOSING = 0.5
"""Seconds to wait for clients to close. The others continue to close in the background."""
LINGER = 0.1
"""Seconds that TLS has to close the connections that aiokafka dropped without waiting for that."""
log = logging.getLogger(__name__)
guard()


class Clients:
    """The settings and state that all clients of one address share."""

    def __init__(self, address: Address) -> None:
        """Prepare the options.

        Raises InvalidInput: a file of the URL can't be used.
        """
        self.where = address.canonical
        self.timeout = address.timeout
        self._servers = address.servers
        self._options = _options(address)
        self._closing = set[asyncio.Task[None]]()
        self._abandoned = set[asyncio.Task[Any]]()

    async def start(
        self,
        make: Callable[..., C],
        *,
        every: float = STAGGER,
        within: float | None = None,
        **options: Any,
    ) -> C:
        """Start a client.

        Another one is tried in parallel if the first is slow, because that one may have met a
        broker that hangs.

        Args:
            make: A class of aiokafka's.
            every: Seconds until another one is tried in parallel.
            within: Seconds until all are given up; None: the URL's timeout.
            options: Arguments of the class, in addition to those of all clients.

        Raises:
            StoreUnavailable: No broker can be used in time.
            AccessDenied: Brokers refuse the user.
        """

        async def attempt() -> C:
            client: Any = make(**self._options, **options)
            try:
                await client.start()
            except BaseException:
                self.stop(client)
                raise
            return client  # type: ignore[no-any-return]  # aiokafka publishes no types, so what it makes is Any

        seconds = self.timeout if within is None else within
        try:
            with translate_errors(self.where):
                return await first_of(attempt, every=every, within=seconds, abandon=self._abandon)
        except AccessDenied:
            raise
        except StoreError as error:
            raise await self._diagnose(error) from error

    def stop(self, client: Any) -> "asyncio.Task[None]":
        """Close the client in the background, because a broker may hang."""
        return self._closing_now(_stop(client))

    async def close(self) -> None:
        """Wait for a moment until clients are closed."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSING)
        if abandoned := set(self._abandoned):
            for start in abandoned:
                start.cancel()
            await asyncio.wait(abandoned)
        if self._options["ssl_context"] is not None:
            await asyncio.sleep(LINGER)

    def _abandon(self, start: "asyncio.Task[Any]") -> None:
        """Close a client that is not needed once it has started.

        A cancelled start would leave a connection open, so it has time to end by itself.
        """
        self._abandoned.add(start)
        start.add_done_callback(self._abandoned.discard)
        self._closing_now(_stop_started(start, self.timeout))

    def _closing_now(self, closing: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def _diagnose(self, error: StoreError) -> StoreError:
        """Find out why clients can't be started, with connections of our own."""
        troubles = await asyncio.gather(*(self._failure(server) for server in self._servers))
        denied = [trouble for trouble in troubles if isinstance(trouble, AccessDenied)]
        return next((trouble for trouble in [*denied, *troubles] if trouble is not None), error)

    async def _failure(self, server: Server) -> StoreError | None:
        try:
            with translate_errors(self.where, server, hint=" Does it ask for TLS, or for a user?"):
                async with asyncio.timeout(DIAGNOSIS):
                    options = {
                        name: value
                        for name, value in self._options.items()
                        if name != "bootstrap_servers"
                    }
                    connection: Any = await create_conn(server.host, server.port, **options)
        except StoreError as error:
            return error
        connection.close()
        return None


async def _stop(client: Any) -> None:
    try:
        await (client.stop() if hasattr(client, "stop") else client.close())
    except Exception:  # No caller waits for it, and nothing uses it any more.
        log.debug("a client of Kafka did not close cleanly", exc_info=True)


async def _stop_started(start: "asyncio.Task[Any]", patience: float) -> None:
    await asyncio.wait([start], timeout=patience)
    start.cancel()
    await asyncio.wait([start])
    if not start.cancelled() and start.exception() is None:
        await _stop(start.result())


def _options(address: Address) -> dict[str, Any]:
    context = address.ssl_context()
    options: dict[str, Any] = {
        "bootstrap_servers": [str(server) for server in address.servers],
        "client_id": "workflow_ray",
        "request_timeout_ms": int(address.timeout * 1000),
        "security_protocol": ("SASL_" if address.login else "")
        + ("SSL" if context else "PLAINTEXT"),
        "ssl_context": context,
    }
    if login := address.login:
        options |= {
            "sasl_mechanism": login.mechanism,
            "sasl_plain_username": login.user,
            "sasl_plain_password": login.password,
        }
    return options
