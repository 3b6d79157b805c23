"""`postgresql://user:password@host:5432/database`: what it names, and what opens it."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from workflow_ray.errors import InvalidInput

SHAPE = "postgresql://user:password@host:5432/database"
PORT = 5432


class Target(NamedTuple):
    """Where a URL leads to. Only `canonical` may be shown."""

    canonical: str
    dsn: str  # as libpq reads it, with its options, such as sslmode and sslrootcert
    ssl: str | None  # the driver's own spelling of sslmode


def target(url: str) -> Target:
    """Raises InvalidInput: it can't be read, or names no database."""
    parsed = _parsed(url)
    options = {name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()}
    ssl = options.pop("ssl", None)
    opening = parsed.set(drivername="postgresql", query=options)
    return Target(_canonical(parsed, options), opening.render_as_string(hide_password=False), ssl)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput("a PostgreSQL URL", f"it can't be read. Its shape is {SHAPE}") from None  # the cause may show the password
    if not parsed.database:
        raise InvalidInput("a PostgreSQL URL", f"it names no database. Its shape is {SHAPE}")
    return parsed


def _canonical(url: URL, options: Mapping[str, str]) -> str:
    """Neither user nor options: whoever asks, it is the same database. A folder of sockets counts as a host."""
    host = url.host or options.get("host") or "localhost"
    if host.startswith("/"):
        return URL.create("postgresql", database=url.database, port=url.port or PORT, query={"host": host}).render_as_string()
    return URL.create("postgresql", host=host.lower(), port=url.port or PORT, database=url.database).render_as_string()
