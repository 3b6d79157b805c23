"""How many runs stand where: counted by the transactions that write them. Each process has counters
of its own, so that none waits for another's; they are summed when they are read.
"""

from collections.abc import Mapping
from uuid import uuid4

from sqlalchemy import ClauseElement, bindparam, delete, func, select

from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import counters

FOLDED = ""
"""The writer whose counters are the sums of those of processes that ended."""
MOST = 1_000
"""Counters that are there before those of other processes are folded."""


class Counters:
    """This process's."""

    def __init__(self) -> None:
        self._writer = str(uuid4())
        self._may_fold = True

    def add(self, session: Session, counts: Mapping[tuple[str, int, int], int]) -> None:
        changed = sorted((key, runs) for key, runs in counts.items() if runs)
        _add(session, self._writer, changed)
        if self._may_fold and changed:
            self._may_fold = False  # once is enough: what is left then are processes that live
            if session.rows(_number)[0][0] > MOST:
                self._fold(session)

    def _fold(self, session: Session) -> None:
        rows = session.rows(_others, writer=self._writer)
        sums: dict[tuple[str, int, int], int] = {}
        for workflow, status, run_state, runs in rows:
            sums[workflow, status, run_state] = sums.get((workflow, status, run_state), 0) + int(runs)
        session.execute(_forget, writer=self._writer)
        _add(session, FOLDED, sorted(sums.items()))


def _add(session: Session, writer: str, changed: list[tuple[tuple[str, int, int], int]]) -> None:
    session.run(
        _count,
        [
            {"workflow": workflow, "status": status, "run_state": run_state, "writer": writer, "runs": runs}
            for (workflow, status, run_state), runs in changed
        ],
    )


def _count(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(counters, lambda row, new: {"runs": row.runs + new.runs})


def _number(_: Dialect) -> ClauseElement:
    return select(func.count()).select_from(counters)


def _others(dialect: Dialect) -> ClauseElement:
    """Locked, so that none counts on while they are folded: it begins a new one then."""
    columns = (counters.c.workflow, counters.c.status, counters.c.run_state, counters.c.runs)
    query = select(*columns).where(counters.c.writer != bindparam("writer"))
    return dialect.locked(query.order_by(*counters.primary_key))


def _forget(_: Dialect) -> ClauseElement:
    return delete(counters).where(counters.c.writer != bindparam("writer"))
