"""Clear what earlier versions of a run hold of the user's."""

from collections.abc import Mapping

from sqlalchemy import ClauseElement, ColumnElement, func, literal_column, null

from workflow_ray.records import RunId, Version
from workflow_ray_adapters.sql import once_results
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import history, messages


def apply(session: Session, erased: Mapping[RunId, Version]) -> None:
    """Clear it.

    Args:
        session: The transaction. All else was written.
        erased: The runs, and the version of each that begins what stays.
    """
    rows = [{"run": run_id, "first": version} for run_id, version in sorted(erased.items())]
    session.run(_clear_entries, rows)
    clear_messages(session, sorted(erased))
    once_results.remove(session, sorted(erased))


def clear_messages(session: Session, run_ids: list[RunId]) -> None:
    """Clear the payloads and the errors of the runs' messages."""
    session.execute(_clear_messages, run_ids=run_ids)


def _clear_entries(dialect: Dialect) -> ClauseElement:
    return dialect.update(
        history,
        {"run": history.c.run_id, "first": history.c.version},
        lambda row, new: (row.run_id == new["run"], row.version < new["first"]),
        lambda row, _: {"data": _emptied(row.data), "reason": null(), "error": null()},
    )


def _clear_messages(dialect: Dialect) -> ClauseElement:
    return (
        messages.update()
        .where(dialect.among(messages.c.run_id, "run_ids"))
        .values(payload=_emptied(messages.c.payload), reason=null())
    )


def _emptied(data: ColumnElement[bytes]) -> ColumnElement[bytes]:
    """Return empty bytes, or NULL where there are none. The numbers are no parameters: those of an
    update are columns of the rows given.
    """
    nothing = func.substr(data, literal_column("1"), literal_column("0"))
    return func.coalesce(nothing, data)  # SQLite returns NULL for a part of empty bytes
