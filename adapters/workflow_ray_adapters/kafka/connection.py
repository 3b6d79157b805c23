"""A connection to a broker."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import logging
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable
from workflow_ray_adapters.kafka.address import Address, Server
from workflow_ray_adapters.kafka.wire import Call

T = TypeVar("T")

NEVER = 24 * 3_600_000  # milliseconds; deadlines are ours
REFUSALS = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)


class Connection:
    """Answers one call after the other. To be closed after whatever it raised: answers come in the order of the questions."""

    def __init__(self, address: Address, server: Server, ssl_context: ssl.SSLContext | None) -> None:
        login = address.login
        self._where, self._server, self._timeout = address.canonical, server, address.timeout
        self._connection = AIOKafkaConnection(
            server.host,
            server.port,
            client_id="workflow_ray",
            request_timeout_ms=NEVER,
            ssl_context=ssl_context,
            security_protocol=("SASL_" if login else "") + ("SSL" if ssl_context else "PLAINTEXT"),
            sasl_mechanism=login and login.mechanism,
            sasl_plain_username=login and login.user,
            sasl_plain_password=login and login.password,
        )

    @property
    def usable(self) -> bool:
        return bool(self._connection.connected())

    async def open(self) -> None:
        """Raises StoreUnavailable, AccessDenied."""
        with explained(self._where, self._server, hint=" Does it ask for TLS, or for a user?"):
            async with asyncio.timeout(self._timeout):
                await self._connection.connect()

    async def ask(self, call: Call[T]) -> T:
        """Raises StoreUnavailable: the outcome is unknown."""
        with explained(self._where, self._server):
            async with asyncio.timeout(self._timeout + call.wait):
                answer: Any = await self._connection.send(call.request)
        return call.read(answer)

    def close(self) -> "asyncio.Future[None] | None":
        """What to wait for where the socket is to be gone for sure."""
        closed: asyncio.Future[None] | None = self._connection.close()
        return closed


@contextmanager
def explained(where: str, server: Server | None = None, *, hint: str = "") -> Generator[None]:
    """Raises the ports' errors in place of the driver's and the system's. hint: where a broker breaks off."""
    who = f"broker {server}" if server else "a broker"
    try:
        yield
    except TimeoutError as error:
        raise StoreUnavailable(where, f"{who} doesn't answer.") from error
    except ssl.SSLCertVerificationError as error:
        why = f"{who} shows a certificate that isn't trusted ({error.verify_message}). Name its authority: cafile=..."
        raise StoreUnavailable(where, why) from error
    except OSError as error:
        raise StoreUnavailable(where, f"{who} can't be reached ({error.strerror or error}).") from error
    except REFUSALS as error:
        raise AccessDenied(where, f"{who} refuses the user or the password ({_said(error)}).") from error
    except UnsupportedCodecError as error:
        raise StoreError(where, f"messages are compressed in a way that can't be read here ({_said(error)}). Install cramjam.") from error
    except (KafkaError, NotImplementedError) as error:  # the latter: the broker is too old for any version of a message
        raise StoreUnavailable(where, f"{who} breaks off ({_said(error)}).{hint}") from error


def _said(error: BaseException) -> str:
    return str(error.args[0]) if error.args and isinstance(error.args[0], str) else type(error).__name__


class _KeepsSecrets(logging.Filter):
    """aiokafka logs every message that it sends, on DEBUG; those of a login hold the password."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not any(type(value).__name__.startswith("SaslAuthenticate") for value in record.args or ())


logging.getLogger("aiokafka.conn").addFilter(_KeepsSecrets())
