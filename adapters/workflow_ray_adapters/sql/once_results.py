"""Results of `once`, for the current visits of runs."""

from collections.abc import Collection, Sequence

from sqlalchemy import ClauseElement, and_, select

from workflow_ray.records import OnceResult, RunId, Version
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import once_results, records


class OnceResults:
    """Results that a transaction keeps and removes.

    Args:
        stored: Those that are stored for the runs of results to be kept.
    """

    def __init__(self, stored: Collection[OnceResult]) -> None:
        self._kept: dict[RunId, dict[str, OnceResult]] = {}
        for result in stored:
            self._kept.setdefault(result.run_id, {})[result.name] = result
        self._new: dict[tuple[RunId, str], OnceResult] = {}
        self._removed: set[RunId] = set()

    def keep(self, result: OnceResult) -> OnceResult:
        """Keep the result unless its name has one, and return the one that is kept."""
        kept = self._kept.setdefault(result.run_id, {}).setdefault(result.name, result)
        if kept is result:
            self._new[result.run_id, result.name] = result
        return kept

    def remove(self, run_id: RunId) -> None:
        self._removed.add(run_id)
        for name in self._kept.pop(run_id, {}):
            self._new.pop((run_id, name), None)

    def apply(self, session: Session) -> None:
        if self._removed:
            remove(session, sorted(self._removed))
        session.run(
            _insert,
            [
                {"run_id": run_id, "visit": result.visit, "name": name, "result": result.result}
                for (run_id, name), result in sorted(self._new.items())
            ],
        )


def remove(session: Session, run_ids: Sequence[RunId]) -> None:
    """Remove the results of the runs."""
    session.execute(_remove, run_ids=run_ids)


def _remove(dialect: Dialect) -> ClauseElement:
    return once_results.delete().where(dialect.among(once_results.c.run_id, "run_ids"))


def _insert(dialect: Dialect) -> ClauseElement:
    return dialect.insert(once_results)


def read(session: Session, run_ids: Collection[RunId]) -> list[OnceResult]:
    """Return the results of the runs' current visits."""
    if not run_ids:
        return []
    return [
        OnceResult(run_id=run_id, visit=Version(visit), name=name, result=result)
        for run_id, visit, name, result in session.rows(_results, run_ids=run_ids)
    ]


def _results(dialect: Dialect) -> ClauseElement:
    columns = once_results.c
    # code of an earlier version leaves a visit without removing them
    is_current = (records.c.run_id == columns.run_id, records.c.visit == columns.visit)
    return (
        select(columns.run_id, columns.visit, columns.name, columns.result)
        .join(records, and_(*is_current))
        .where(dialect.among(columns.run_id, "run_ids"))
        .order_by(columns.run_id, columns.name)
    )
