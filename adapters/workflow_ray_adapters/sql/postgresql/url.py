"""Read URLs: `postgresql://user:password@host:5432/database`."""

from typing import NamedTuple

from sqlalchemy import URL

from workflow_ray.errors import InvalidInput
from workflow_ray_adapters.sql.server.urls import parse

SHAPE = "postgresql://user:password@host:5432/database"
PORT = 5432


class Target(NamedTuple):
    """What a URL names. Only `canonical` may be shown."""

    canonical: str
    dsn: str  # as libpq reads it, with its options, for example sslmode and sslrootcert
    ssl: str | None  # sslmode, as the driver spells it


def parse_target(url: str) -> Target:
    """Read the URL. Raises InvalidInput: it cannot be read, or names no database."""
    parts = parse(url, "a PostgreSQL URL", SHAPE)
    options = {
        name: value if isinstance(value, str) else value[-1] for name, value in parts.query.items()
    }
    try:
        port = parts.port or int(options.get("port", PORT))
    except ValueError:
        raise InvalidInput(
            "a PostgreSQL URL", f"its port is not a number. Its shape is {SHAPE}"
        ) from None
    ssl = options.pop("ssl", None)
    opening = parts.set(drivername="postgresql", query=options)
    host = parts.host or options.get("host") or "localhost"
    return Target(
        _canonical(host, port, parts.database or ""),
        opening.render_as_string(hide_password=False),
        ssl,
    )


def _canonical(host: str, port: int, database: str) -> str:
    """Return the canonical URL, without user and options: it names the database, whoever asks. A
    folder of sockets counts as a host.
    """
    if host.startswith("/"):
        return URL.create(
            "postgresql", port=port, database=database, query={"host": host}
        ).render_as_string()
    return URL.create(
        "postgresql", host=host.lower(), port=port, database=database
    ).render_as_string()
