"""`postgresql://user:password@host:5432/database`: what it names, and what opens it."""

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
    try:
        parsed = make_url(url)
        options = {name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()}
        port = parsed.port or int(options.get("port", PORT))
    except (ArgumentError, ValueError):
        raise InvalidInput("a PostgreSQL URL", f"it can't be read. Its shape is {SHAPE}") from None  # the cause may show the password
    if not parsed.database:
        raise InvalidInput("a PostgreSQL URL", f"it names no database. Its shape is {SHAPE}")
    ssl = options.pop("ssl", None)
    opening = parsed.set(drivername="postgresql", query=options)
    host = parsed.host or options.get("host") or "localhost"
    return Target(_canonical(host, port, parsed.database), opening.render_as_string(hide_password=False), ssl)


def _canonical(host: str, port: int, database: str) -> str:
    """Neither user nor options: whoever asks, it is the same database. A folder of sockets counts as a host."""
    if host.startswith("/"):
        return URL.create("postgresql", port=port, database=database, query={"host": host}).render_as_string()
    return URL.create("postgresql", host=host.lower(), port=port, database=database).render_as_string()
