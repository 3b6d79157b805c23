"""How many runs stand where: counted by the transactions that write them. Each process has counters
of its own, so that none waits for another's; they are summed when they are read.
"""

from collections import Counter
from collections.abc import Mapping
from uuid import uuid4

from sqlalchemy import ClauseElement, bindparam, func, select

from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values
from workflow_ray_adapters.sql.tables import counters

CountKey = tuple[str, int, int]
"""A workflow, a status and a run state: what runs are counted by."""
FOLDED = ""
"""The writer whose counters are the sums of those of processes that ended."""
MOST = 1_000
"""Counters that are there before those of other processes are folded."""


class Counters:
    """This process's."""

    def __init__(self) -> None:
        self._writer = str(uuid4())
        self._may_fold = True

    def add(self, session: Session, counts: Mapping[CountKey, int]) -> None:
        changed = sorted((key, runs) for key, runs in counts.items() if runs)
        _add(session, self._writer, changed)
        if self._may_fold and changed:
            self._may_fold = False  # once is enough: what is left then are processes that live
            if session.rows(_number)[0][0] > MOST:
                self._fold(session)

    def _fold(self, session: Session) -> None:
        """Only what was read is deleted: a process may begin to count meanwhile."""
        sums = Counter[CountKey]()
        read = list[Values]()
        for workflow, status, run_state, writer, runs in session.rows(_others, writer=self._writer):
            sums[workflow, status, run_state] += int(runs)
            read.append(
                {
                    "of_workflow": workflow,
                    "of_status": status,
                    "of_run_state": run_state,
                    "of_writer": writer,
                }
            )
        session.run(_forget, read)
        _add(session, FOLDED, sorted(sums.items()))


def _add(session: Session, writer: str, changed: list[tuple[CountKey, int]]) -> None:
    session.run(
        _count,
        [
            {
                "workflow": workflow,
                "status": status,
                "run_state": run_state,
                "writer": writer,
                "runs": runs,
            }
            for (workflow, status, run_state), runs in changed
        ],
    )


def _count(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(counters, lambda row, new: {"runs": row.runs + new.runs})


def _number(_: Dialect) -> ClauseElement:
    return select(func.count()).select_from(counters)


def _others(dialect: Dialect) -> ClauseElement:
    """Locked, so that none counts on while they are folded: it begins a new one then."""
    query = select(counters).where(counters.c.writer != bindparam("writer"))
    return dialect.lock_rows(query.order_by(*counters.primary_key))


def _forget(dialect: Dialect) -> ClauseElement:
    return dialect.delete(
        counters,
        {f"of_{key.name}": key for key in counters.primary_key},
        lambda row, new: [row[key.name] == new[f"of_{key.name}"] for key in counters.primary_key],
    )
