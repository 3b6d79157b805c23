"""Read URLs: `mariadb://user:password@host:3306/database`, or `mysql://`."""

import ssl
from typing import Any, NamedTuple

from sqlalchemy import URL

from workflow_ray.errors import InvalidInput
from workflow_ray_adapters.sql.server.urls import parse

SHAPE = "mariadb://user:password@host:3306/database"
PORT = 3306
OPTIONS = ("ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname", "unix_socket")


class Target(NamedTuple):
    """What a URL names. Only `canonical` may be shown."""

    canonical: str
    arguments: dict[str, Any]  # arguments of the driver
    database: str

    def __repr__(self) -> str:
        return f"Target({self.canonical})"


def parse_target(url: str) -> Target:
    """Read the URL. Raises InvalidInput: it cannot be read, names no database, or has unknown
    options.
    """
    parts = parse(url, "a MariaDB URL", SHAPE)
    options = {
        name: value if isinstance(value, str) else value[-1] for name, value in parts.query.items()
    }
    if unknown := options.keys() - set(OPTIONS):
        raise InvalidInput(
            "a MariaDB URL",
            f"it has the options {sorted(unknown)}. There are: {', '.join(OPTIONS)}",
        )
    database, socket = parts.database or "", options.get("unix_socket")
    arguments = {
        "host": parts.host or "localhost",
        "port": parts.port or PORT,
        "user": parts.username,
        "password": (parts.password or "").encode(),  # the driver knows Latin-1 only
        "database": database,
        "unix_socket": socket,
        "ssl": _tls(options),
    }
    return Target(_canonical(parts, socket), arguments, database)


def _canonical(url: URL, socket: str | None) -> str:
    """Return the canonical URL, without user and options: it names the database, whoever asks."""
    if socket:
        return URL.create(
            "mariadb", database=url.database, query={"unix_socket": socket}
        ).render_as_string()
    return URL.create(
        "mariadb",
        host=(url.host or "localhost").lower(),
        port=url.port or PORT,
        database=url.database,
    ).render_as_string()


def _tls(options: dict[str, str]) -> ssl.SSLContext | None:
    """Return the TLS settings. With any option of TLS the connection is encrypted, and the server's
    certificate must be valid, by `ssl_ca` or by the system's.
    """
    if options.get("ssl", "true").lower() in ("false", "0") or not any(
        name.startswith("ssl") for name in options
    ):
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca"))
        if certificate := options.get("ssl_cert"):
            context.load_cert_chain(certificate, options.get("ssl_key"))
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput("a MariaDB URL", f"its certificates can't be read ({error}).") from error
    context.check_hostname = options.get("ssl_check_hostname", "true").lower() not in ("false", "0")
    return context
