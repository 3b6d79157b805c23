"""How often each process has committed something that others may wait for: MariaDB has no notifications. A row for each, so that no
process's commits wait for another's.
"""

from time import time

from sqlalchemy import BigInteger, ClauseElement, Column, MetaData, Table, bindparam, delete, func, select

from workflow_ray_adapters.sql.columns import key
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.session import Session

commits = Table(
    "commits",
    MetaData(),
    Column("process", key(36), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("committed_at", BigInteger, nullable=False),  # seconds since 1970
)
KEPT = 24 * 3600
"""Seconds until what a process has counted is forgotten: it has ended, mostly."""


def count(session: Session, process: str) -> None:
    session.run(_count, [{"process": process, "number": 1, "committed_at": int(time())}])


def _count(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(commits, lambda row, new: {"number": row.number + 1, "committed_at": new.committed_at})


def of_others(session: Session, process: str) -> int:
    """A number that changes when another process commits."""
    ((number,),) = session.rows(_of_others, process=process)
    return int(number)


def _of_others(_: Dialect) -> ClauseElement:
    return select(func.coalesce(func.sum(commits.c.number), 0)).where(commits.c.process != bindparam("process"))


def forget(session: Session) -> None:
    """What was counted long ago."""
    session.execute(_forget, before=int(time()) - KEPT)


def _forget(_: Dialect) -> ClauseElement:
    return delete(commits).where(commits.c.committed_at < bindparam("before"))
