"""Read URLs of servers, of any kind."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from workflow_ray.errors import InvalidInput


def parse(url: str, what: str, shape: str) -> URL:
    """Return the URL's parts. Raises InvalidInput, which shows nothing of the URL: any part of it
    may be a piece of the password.
    """
    if url.count("@") > 1:
        raise InvalidInput(
            what,
            "it has more than one @. In a password and in options write it as %40. Its shape is"
            f" {shape}",
        )
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        # the cause may show the password
        raise InvalidInput(what, f"it can't be read. Its shape is {shape}") from None
    if not parts.database:
        raise InvalidInput(what, f"it names no database. Its shape is {shape}")
    return parts
