"""What each process has committed last that others may wait for, because MariaDB has no
notifications. Each process has a row, so that its commits never wait for another's.
"""

from collections import deque
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ClauseElement,
    Column,
    MetaData,
    Table,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import mysql

from workflow_ray_adapters.sql.columns import TEXT, key
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.notifications import ALL, Notification
from workflow_ray_adapters.sql.session import Session

commits = Table(
    "commits",
    MetaData(),
    Column("process", key(36), primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the last commit, from 1
    Column("committed_at", BigInteger, nullable=False),  # seconds since 1970
    # JSON: the last commits' notifications, each with its number; NULL: by code that knows no such
    # JSON: the last commits' notifications, each with its number; NULL: written by code that does
    # not know this column
    Column("recent", TEXT),
)
KEPT = 24 * 3600
"""Seconds until the row of a process that writes nothing is deleted: mostly it has ended."""
LARGEST = 2_000
"""The largest size of a notification, in bytes."""
RECENT = 8_000
"""The largest size of all notifications of a row, in bytes."""


class Numbered(msgspec.Struct, array_like=True):
    """A commit, as the row of its process holds it."""

    number: int
    notification: msgspec.Raw


class Commits:
    """The row of this process, and what it has seen of the rows of others."""

    def __init__(self) -> None:
        self._me = str(uuid4())
        self._number = 0
        self._recent = deque[Numbered]()
        self._size = 0
        # the last commit of each other process; None: nobody has looked yet
        self._seen: dict[str, int] | None = None

    def note(self, session: Session) -> None:
        """Write the session's notification with its commit. If that fails in the end, the
        notification stays: others look and find nothing.
        """
        encoded = session.notification.encode(LARGEST)
        self._number += 1
        self._recent.append(Numbered(self._number, msgspec.Raw(encoded)))
        self._size += len(encoded)
        while self._size > RECENT:
            self._size -= len(bytes(self._recent.popleft().notification))
        recent = msgspec.json.encode(list(self._recent)).decode()
        session.execute(_note, process=self._me, number=self._number, recent=recent)

    def read_new(self, session: Session) -> Notification:
        """Return what other processes have committed since the last call."""
        numbers = {process: int(number) for process, number in session.rows(_numbers, me=self._me)}
        seen, self._seen = self._seen, numbers
        found = Notification()
        if seen is None:
            found.unnamed = ALL
        elif changed := [
            process for process, number in numbers.items() if seen.get(process) != number
        ]:
            for process, recent in session.rows(_recent, processes=changed):
                found.add(_since(seen.get(process, 0), recent))
        return found


def _since(seen: int, recent: str | None) -> Notification:
    """Return what the commits after that one have changed."""
    commits = msgspec.json.decode(recent, type=list[Numbered]) if recent is not None else []
    found = Notification()
    if not commits or commits[0].number > seen + 1 or commits[-1].number < seen:
        found.unnamed = ALL  # some notifications were removed
    for commit in commits:
        if commit.number > seen:
            found.add(msgspec.json.decode(commit.notification, type=Notification))
    return found


def _note(_: Dialect) -> ClauseElement:
    given: dict[str, BindParameter[Any]] = {
        name: bindparam(name) for name in ("process", "number", "recent")
    }
    insert = mysql.insert(commits).values({**given, "committed_at": func.unix_timestamp()})
    changing = ("number", "recent", "committed_at")
    return insert.on_duplicate_key_update({name: insert.inserted[name] for name in changing})


def _numbers(_: Dialect) -> ClauseElement:
    return select(commits.c.process, commits.c.number).where(commits.c.process != bindparam("me"))


def _recent(dialect: Dialect) -> ClauseElement:
    return select(commits.c.process, commits.c.recent).where(
        dialect.among(commits.c.process, "processes")
    )


def forget(session: Session) -> None:
    """Delete the rows of processes that ended long ago."""
    session.execute(_forget, kept=KEPT)


def _forget(_: Dialect) -> ClauseElement:
    return delete(commits).where(commits.c.committed_at < func.unix_timestamp() - bindparam("kept"))
