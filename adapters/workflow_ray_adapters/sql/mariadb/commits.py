"""What each process has committed last that others may wait for: MariaDB has no notifications. A
row for each process, so that no process's commits wait for another's.
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
    # column
    Column("recent", TEXT),
)
KEPT = 24 * 3600
"""Seconds until the row of a process that writes nothing is forgotten: it has ended, mostly."""
LARGEST = 2_000
"""Bytes of a notification."""
RECENT = 8_000
"""Bytes of all that a row holds."""


class Numbered(msgspec.Struct, array_like=True):
    """A commit as its row tells of it."""

    number: int
    told: msgspec.Raw


class Commits:
    """This process's row, and what it has seen of the others'."""

    def __init__(self) -> None:
        self._me = str(uuid4())
        self._number = 0
        self._recent = deque[Numbered]()
        self._size = 0
        # of each other process its last commit; None: nobody has looked yet
        self._seen: dict[str, int] | None = None

    def note(self, session: Session) -> None:
        """Tell of the session's commit with it. One that fails in the end stays told of: somebody
        looks and finds nothing.
        """
        told = session.notification.encoded(LARGEST)
        self._number += 1
        self._recent.append(Numbered(self._number, msgspec.Raw(told)))
        self._size += len(told)
        while self._size > RECENT:
            self._size -= len(bytes(self._recent.popleft().told))
        recent = msgspec.json.encode(list(self._recent)).decode()
        session.execute(_note, process=self._me, number=self._number, recent=recent)

    def told(self, session: Session) -> Notification:
        """What other processes have committed since the last call."""
        numbers = {process: int(number) for process, number in session.rows(_numbers, me=self._me)}
        seen, self._seen = self._seen, numbers
        told = Notification()
        if seen is None:
            told.unnamed = ALL
        elif changed := [
            process for process, number in numbers.items() if seen.get(process) != number
        ]:
            for process, recent in session.rows(_recent, processes=changed):
                told.add(_since(seen.get(process, 0), recent))
        return told


def _since(seen: int, recent: str | None) -> Notification:
    """What the commits after that one have changed."""
    commits = msgspec.json.decode(recent, type=list[Numbered]) if recent is not None else []
    told = Notification()
    if not commits or commits[0].number > seen + 1 or commits[-1].number < seen:
        told.unnamed = ALL  # some are not told of any more
    for commit in commits:
        if commit.number > seen:
            told.add(msgspec.json.decode(commit.told, type=Notification))
    return told


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
    """The rows of processes that ended long ago."""
    session.execute(_forget, kept=KEPT)


def _forget(_: Dialect) -> ClauseElement:
    return delete(commits).where(commits.c.committed_at < func.unix_timestamp() - bindparam("kept"))
