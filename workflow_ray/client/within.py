"""The sessions in whose transactions runs can be written."""

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from workflow_ray.errors import InvalidInput

if TYPE_CHECKING:  # SQLAlchemy is imported by the adapters that need it
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    Within: TypeAlias = (
        AsyncSession
        | AsyncConnection
        | async_scoped_session[Any]
        | Session
        | Connection
        | scoped_session[Any]
    )
    """A session or connection of SQLAlchemy."""
else:
    Within = Any


def session_of_caller(within: Any) -> Any:
    """Return the session for a call that another thread makes. A `scoped_session` would give that
    thread another session than the caller's.

    Raises:
        InvalidInput: The session belongs to an event loop.
    """
    orm = sys.modules.get("sqlalchemy.orm")
    if orm is not None and isinstance(within, orm.scoped_session):
        return within()
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")
    if asynchronous is not None and isinstance(
        within,
        asynchronous.AsyncSession
        | asynchronous.AsyncConnection
        | asynchronous.async_scoped_session,
    ):
        raise InvalidInput(
            "within",
            f"give a Session or Connection of SQLAlchemy; {type(within).__name__} belongs to an"
            " event loop, and goes with the asynchronous client",
        )
    return within
