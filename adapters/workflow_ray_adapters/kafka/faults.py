"""Translates aiokafka's errors and the system's into the ports' errors."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false

import ssl
from collections.abc import Generator
from contextlib import contextmanager

from aiokafka.errors import KafkaError, KafkaTimeoutError, UnsupportedCodecError

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable
from workflow_ray_adapters.kafka.address import Server

# Kafka's error codes, which are the `errno` of aiokafka's errors.
REQUEST_TIMED_OUT = 7
TOPIC_EXISTS = 36
NOT_CONTROLLER = 41
DENIED = frozenset({29, 30, 31})  # for a topic, a group, the cluster
REFUSED = frozenset({33, 34, 58})  # the mechanism of SASL, the login
SPOILED = frozenset({45, 59})  # the broker has another count of a producer's batches
# The partition has no leader, or the broker loads or throttles.
AGAIN = frozenset({5, REQUEST_TIMED_OUT, 14, NOT_CONTROLLER, 89})


def code_of(error: BaseException) -> int:
    """Return Kafka's code of the error; 0: it has none."""
    return int(getattr(error, "errno", 0) or 0) if isinstance(error, KafkaError) else 0


@contextmanager
def translate_errors(
    where: str, server: Server | None = None, *, hint: str = ""
) -> Generator[None]:
    """Raise the ports' errors in place of aiokafka's and the system's.

    Args:
        where: The cluster.
        server: The broker that was asked, if it is known.
        hint: What to check if a broker closes the connection.

    Raises:
        StoreUnavailable: A broker does not answer, or can't do it now.
        AccessDenied: The user, the password or an operation is refused.
        StoreError: Messages are compressed in a way that can't be read here.
    """
    who = f"broker {server}" if server else "a broker"
    try:
        yield
    except (TimeoutError, KafkaTimeoutError) as error:
        raise StoreUnavailable(where, f"{who} doesn't answer.") from error
    except ssl.SSLCertVerificationError as error:
        why = (
            f"{who} shows a certificate that isn't trusted ({error.verify_message}). Name its"
            " authority: cafile=..."
        )
        raise StoreUnavailable(where, why) from error
    except OSError as error:
        raise StoreUnavailable(
            where, f"{who} can't be reached ({error.strerror or error})."
        ) from error
    except UnsupportedCodecError as error:
        why = (
            f"messages are compressed in a way that can't be read here ({_said(error)}). Install"
            " cramjam."
        )
        raise StoreError(where, why) from error
    except (KafkaError, NotImplementedError) as error:
        # NotImplementedError: the broker is too old for every version of a request.
        raise _told(where, who, error, hint) from error


def _told(where: str, who: str, error: Exception, hint: str) -> StoreError:
    code = code_of(error)
    if code in REFUSED:
        return AccessDenied(where, f"{who} refuses the user or the password ({_said(error)}).")
    if code in DENIED:
        return AccessDenied(where, f"{who} denies access ({_said(error)}). Let this user do that.")
    if code == REQUEST_TIMED_OUT:
        return StoreUnavailable(where, f"{who} doesn't answer.")
    return StoreUnavailable(where, f"{who} can't do it now ({_said(error)}).{hint}")


def _said(error: BaseException) -> str:
    """Return the text of the error, with the name of its class."""
    text = error.args[0] if error.args else ""
    return (
        f"{type(error).__name__}: {text}"
        if isinstance(text, str) and text
        else type(error).__name__
    )
