"""Count how many runs are in which state. The transactions that write runs count them. Each writer
has its own counters, so that none waits for another's; a read sums them.
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
"""A workflow, a status and a run state."""
FOLDED = ""
"""The writer of the counters that hold the sums of processes that have ended."""
MOST = 1_000
"""The number of counters above which those of other processes are folded into sums."""


class Counters:
    """The counters of one writer.

    Args:
        folds: Whether it may fold the counters of others, which locks them.
    """

    def __init__(self, *, folds: bool = True) -> None:
        self._writer = str(uuid4())
        self._may_fold = folds

    def add(self, session: Session, counts: Mapping[CountKey, int]) -> None:
        changed = sorted((key, runs) for key, runs in counts.items() if runs)
        _add(session, self._writer, changed)
        if self._may_fold and changed:
            self._may_fold = False  # once is enough: the other processes that are left are alive
            if session.rows(_number)[0][0] > MOST:
                self._fold(session)

    def _fold(self, session: Session) -> None:
        """Replace the counters of other processes by their sums. Only what was read is deleted,
        because a process may begin to count meanwhile.
        """
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
    """The rows are locked so that no process counts on while they are folded: it begins a new
    counter.
    """
    query = select(counters).where(counters.c.writer != bindparam("writer"))
    return dialect.lock_rows(query.order_by(*counters.primary_key))


def _forget(dialect: Dialect) -> ClauseElement:
    return dialect.delete(
        counters,
        {f"of_{key.name}": key for key in counters.primary_key},
        lambda row, new: [row[key.name] == new[f"of_{key.name}"] for key in counters.primary_key],
    )
