"""The address of a cluster, parsed from a URL."""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from workflow_ray.errors import InvalidInput
from workflow_ray.ports import has_unescaped_userinfo

T = TypeVar("T")

DEFAULT_PORT = 9092
TIMEOUT = 5.0
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
OPTIONS = (
    "ssl",
    "cafile",
    "certfile",
    "keyfile",
    "check_hostname",
    "mechanism",
    "replication",
    "timeout",
)
OF_TLS = ("cafile", "certfile", "keyfile", "check_hostname")
LEGAL = re.compile(r"[A-Za-z0-9._-]*")  # allowed in names of topics


class Server(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Login:
    user: str = field(repr=False)
    password: str = field(repr=False)
    mechanism: str


@dataclass(frozen=True)
class Address:
    """A parsed URL. It holds a password, and never shows it."""

    servers: tuple[Server, ...]
    prefix: str  # the beginning of names of topics, without the dot; "": none
    login: Login | None
    tls: Mapping[str, str] | None  # the options of TLS; None: without TLS
    replication: int  # -1: the brokers' default
    timeout: float  # seconds

    @property
    def canonical(self) -> str:
        return f"kafka://{','.join(map(str, self.servers))}/{self.prefix}"

    def name(self, topic_or_group: str) -> str:
        """Return the name of a topic or group on the brokers."""
        return f"{self.prefix}.{topic_or_group}" if self.prefix else topic_or_group

    def ssl_context(self) -> ssl.SSLContext | None:
        """Make the TLS context.

        Raises InvalidInput: a file can't be used.
        """
        if self.tls is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls.get("cafile"))
            context.check_hostname = _boolean(self.tls.get("check_hostname", "true"))
            if certfile := self.tls.get("certfile"):
                # so that OpenSSL does not ask on the terminal
                context.load_cert_chain(certfile, self.tls.get("keyfile"), password="")
        except (OSError, ValueError) as error:
            raise InvalidInput(
                self.canonical,
                f"cafile, certfile or keyfile can't be used ({error}). Name files in PEM format.",
            ) from error
        return context


def parse(url: str) -> Address:
    """Parse a URL.

    Raises InvalidInput; for an unknown option it names the known ones.
    """
    parts = _split(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    what = f"kafka://{hosts}{parts.path}"
    prefix = parts.path.strip("/")
    if not LEGAL.fullmatch(prefix):
        raise InvalidInput(
            what,
            "the prefix is part of names of topics: letters, digits, dots, dashes and underscores"
            " are allowed.",
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := options.keys() - set(OPTIONS):
        raise InvalidInput(
            what,
            f"unknown option {', '.join(sorted(unknown))}. The options: {', '.join(OPTIONS)}.",
        )

    def option(name: str, default: T, convert: Callable[[str], T], expected: str) -> T:
        try:
            return convert(options[name]) if name in options else default
        except ValueError as error:
            raise InvalidInput(
                what, f"{name}={options[name]} can't be used; {expected}."
            ) from error

    tls = option("ssl", False, _boolean, "true or false")
    option("check_hostname", True, _boolean, "true or false")
    if not tls and (vain := [name for name in OF_TLS if name in options]):
        raise InvalidInput(what, f"{', '.join(vain)} has no effect without ssl=true. Add that.")
    if "keyfile" in options and "certfile" not in options:
        raise InvalidInput(what, "keyfile has no effect without certfile. Add that.")
    return Address(
        servers=_servers(what, hosts),
        prefix=prefix,
        login=_login(what, userinfo, options.get("mechanism")),
        tls={name: options[name] for name in OF_TLS if name in options} if tls else None,
        replication=option("replication", -1, _positive(int), "a whole number of at least 1"),
        timeout=option("timeout", TIMEOUT, _positive(float), "seconds, more than 0"),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        # it may show a password
        raise InvalidInput(
            "kafka://", "name the brokers, as in kafka://one:9092,two:9092/shop."
        ) from None
    if has_unescaped_userinfo(url):
        raise InvalidInput(
            "kafka://",
            "write a / ? # or @ in the user or the password percent-encoded: %2F %3F %23 %40.",
        )
    return parts


def _servers(what: str, hosts: str) -> tuple[Server, ...]:
    servers: set[Server] = set()
    for part in hosts.split(","):
        found = re.fullmatch(r"(?:\[([^]]+)]|([^:]+))(?::(\d+))?", part)
        if found is None:
            raise InvalidInput(what, "name the brokers, as in kafka://one:9092,two:9092/shop.")
        servers.add(Server((found[1] or found[2]).lower(), int(found[3] or DEFAULT_PORT)))
    return tuple(sorted(servers))


def _login(what: str, userinfo: str, mechanism: str | None) -> Login | None:
    if not userinfo:
        if mechanism is not None:
            raise InvalidInput(
                what,
                "mechanism has no effect without a user. Name one, as in"
                " kafka://user:password@host:9092.",
            )
        return None
    if mechanism not in (None, *MECHANISMS):
        raise InvalidInput(
            what, f"unknown mechanism {mechanism}. The mechanisms: {', '.join(MECHANISMS)}."
        )
    user, _, password = userinfo.partition(":")
    return Login(unquote(user), unquote(password), mechanism or MECHANISMS[0])


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _positive(kind: Callable[[str], T]) -> Callable[[str], T]:
    def convert(text: str) -> T:
        number = kind(text)
        if not 0 < float(text) < float("inf"):
            raise ValueError(text)
        return number

    return convert
