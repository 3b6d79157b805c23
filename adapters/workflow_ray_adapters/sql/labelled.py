"""Find runs by their labels. An index has the runs of each label in their order."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    UnaryExpression,
    and_,
    exists,
    func,
    literal,
    select,
    union_all,
)

from workflow_ray.records import RunQuery
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import labels, records

Order: TypeAlias = Callable[[ColumnElement[Any]], UnaryExpression[Any]]
ENOUGH = 1_000
"""The number of runs above which it does not matter how many more a label has."""


def keys(
    session: Session, query: RunQuery, filters: Sequence[ColumnElement[bool]], by: Order
) -> Select[Any]:
    """Build a query for the first run ids that have the query's labels, one at least, and that the
    filters apply to. It goes through the runs of the label that has the fewest.
    """
    name, value = _rarest(session, query)
    others = {each: of for each, of in query.labels.items() if each != name}
    after: list[ColumnElement[bool]] = []
    if query.after is not None:
        run_id = labels.c.run_id
        after = [run_id < query.after if query.newest_first else run_id > query.after]
    return (
        select(labels.c.run_id)
        .join(records, records.c.run_id == labels.c.run_id)
        .where(_has(query.workflow, name, value), *after, *filters, *having(others))
        .order_by(by(labels.c.value), by(labels.c.run_id))
        .limit(query.limit)
    )


def having(wanted: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Return filters of records that have these labels."""
    others = labels.alias("others")  # the query around it may read labels as well
    return [
        exists().where(
            others.c.run_id == records.c.run_id, others.c.name == name, others.c.value == value
        )
        for name, value in wanted.items()
    ]


def _rarest(session: Session, query: RunQuery) -> tuple[str, str]:
    """Return the label that the fewest runs have."""
    wanted = list(query.labels.items())
    if len(wanted) == 1:
        return wanted[0]
    counted: list[Select[int, int]] = []
    for at, (name, value) in enumerate(wanted):
        some = select(labels.c.run_id).where(_has(query.workflow, name, value)).limit(ENOUGH)
        number = select(func.count()).select_from(some.subquery()).scalar_subquery()
        counted.append(select(literal(at, Integer).label("place"), number.label("runs")))
    rows: list[Any] = list(session.connection.execute(union_all(*counted)))
    rarest: int = min(rows, key=itemgetter(1))[0]
    return wanted[rarest]


def _has(workflow: str, name: str, value: str) -> ColumnElement[bool]:
    """The equality with the value is a range, as those of `pages.Part` are."""
    column = labels.c.value
    return and_(
        labels.c.workflow == workflow, labels.c.name == name, column >= value, column <= value
    )
