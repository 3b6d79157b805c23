"""aiokafka's errors and the system's, as the ports' errors."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false

import ssl
from collections.abc import Generator
from contextlib import contextmanager

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable
from workflow_ray_adapters.kafka.address import Server

REFUSALS = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
DENIALS = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
NO_ANSWER = (TimeoutError, KafkaTimeoutError, RequestTimedOutError)


@contextmanager
def explained(where: str, server: Server | None = None, *, hint: str = "") -> Generator[None]:
    """Raise the ports' errors in place of aiokafka's and the system's.

    Args:
        where: The cluster.
        server: The broker asked, if it is known.
        hint: What to look at where a broker closes the connection.

    Raises:
        StoreUnavailable: A broker does not answer, or not now.
        AccessDenied: The user, the password, or what the user asks for is refused.
        StoreError: Messages are compressed in a way that cannot be read here.
    """
    who = f"broker {server}" if server else "a broker"
    try:
        yield
    except NO_ANSWER as error:
        raise StoreUnavailable(where, f"{who} doesn't answer.") from error
    except ssl.SSLCertVerificationError as error:
        why = f"{who} shows a certificate that isn't trusted ({error.verify_message}). Name its authority: cafile=..."
        raise StoreUnavailable(where, why) from error
    except OSError as error:
        raise StoreUnavailable(where, f"{who} can't be reached ({error.strerror or error}).") from error
    except REFUSALS as error:
        raise AccessDenied(where, f"{who} refuses the user or the password ({said(error)}).") from error
    except DENIALS as error:
        raise AccessDenied(where, f"{who} denies access ({said(error)}). Let this user do that.") from error
    except UnsupportedCodecError as error:
        why = f"messages are compressed in a way that can't be read here ({said(error)}). Install cramjam."
        raise StoreError(where, why) from error
    except (KafkaError, NotImplementedError) as error:  # the latter: a broker too old for any version of a request
        raise StoreUnavailable(where, f"{who} can't do it now ({said(error)}).{hint}") from error


def said(error: BaseException) -> str:
    """The error in words: its own, else the name of its kind."""
    text = error.args[0] if error.args else ""
    return f"{type(error).__name__}: {text}" if isinstance(text, str) and text else type(error).__name__
