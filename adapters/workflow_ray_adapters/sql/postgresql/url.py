"""Read URLs: `postgresql://user:password@host:5432/database?schema=name`."""

import re
from typing import NamedTuple

from sqlalchemy import URL

from workflow_ray.errors import InvalidInput
from workflow_ray_adapters.sql.server.urls import parse

SHAPE = "postgresql://user:password@host:5432/database"
PORT = 5432
SCHEMA = re.compile("[a-z_][a-z0-9_]{0,62}")
EMPTY_SCHEMA = re.compile("[?&]schema=?(&|$)")


class Target(NamedTuple):
    """What a URL names. Only `canonical` may be shown."""

    canonical: str
    dsn: str  # as libpq reads it, with its options, for example sslmode and sslrootcert
    ssl: str | None  # sslmode, as the driver spells it
    database: str
    schema: str | None  # None: the one that the server looks in first for this user


def parse_target(url: str) -> Target:
    """Read the URL. Raises InvalidInput: it cannot be read, names no database, or a schema that
    can't be used.
    """
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
    if EMPTY_SCHEMA.search(url):  # SQLAlchemy leaves out options without a value
        options["schema"] = ""
    ssl, schema = options.pop("ssl", None), _checked_schema(options.pop("schema", None))
    opening = parts.set(drivername="postgresql", query=options)
    host, database = parts.host or options.get("host") or "localhost", parts.database or ""
    return Target(
        _canonical(host, port, database, schema),
        opening.render_as_string(hide_password=False),
        ssl,
        database,
        schema,
    )


def _checked_schema(name: str | None) -> str | None:
    if name is not None and (not SCHEMA.fullmatch(name) or name.startswith("pg_")):
        raise InvalidInput(
            "a PostgreSQL URL",
            "its schema must have 1 to 63 of a-z, 0-9 and _, not begin with a digit, and not with"
            " pg_",
        )
    return name


def _canonical(host: str, port: int, database: str, schema: str | None) -> str:
    """Return the canonical URL, without user and options: it names the database, and the schema if
    one is given, whoever asks. A folder of sockets counts as a host.
    """
    query = {} if schema is None else {"schema": schema}
    if host.startswith("/"):
        return URL.create(
            "postgresql", port=port, database=database, query={"host": host, **query}
        ).render_as_string()
    return URL.create(
        "postgresql", host=host.lower(), port=port, database=database, query=query
    ).render_as_string()
