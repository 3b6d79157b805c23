"""Pages of a workflow's runs. Each is found by an index that ends in the run id, however many other
runs there are.

A run that awaits an event is found by `awaiting`, its partition, which steps do not change. Any
other run is found by `resting`, which is its status and run state. A page merges what these find,
up to its limit from each; the counters say which of them hold any runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Subquery,
    UnaryExpression,
    asc,
    desc,
    func,
    literal,
    select,
    true,
    union_all,
)

from workflow_ray.records import BATCH_DATA, Record, RunCount, RunQuery, RunState
from workflow_ray_adapters.sql import labelled
from workflow_ray_adapters.sql.rows import RECORD, micros, resting, to_record
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import counters, links, records

Order: TypeAlias = Callable[[ColumnElement[Any]], UnaryExpression[Any]]
MOST = 300
"""The largest number of parts that a page is merged from. A page that needs more reads all runs of
the workflow. SQLite allows 500.
"""


@dataclass(frozen=True)
class Part:
    """Runs that have a value in an indexed column, and that the filters apply to."""

    filters: Sequence[ColumnElement[bool]]
    column: Column[Any]
    value: int | str

    def keys(self, by: Order, limit: int) -> Select[Any]:
        """Find the run ids. The equality with the column's value is written as a range, and the
        rows are sorted by the column: a planner that knows of equal values uses an index without
        the column, and reads all other runs.
        """
        value = literal(self.value, self.column.type)
        ranged = select(records.c.run_id).where(
            *self.filters, self.column >= value, self.column <= value
        )
        return ranged.order_by(by(self.column), by(records.c.run_id)).limit(limit)


def counts(session: Session, workflow: str) -> list[RunCount]:
    """Return how many runs are in which state. Each writer has its own counters; some may be
    negative, and their sum is right.
    """
    stand, runs = (counters.c.status, counters.c.run_state), func.sum(counters.c.runs)
    counted = (
        select(*stand, runs)
        .where(counters.c.workflow == workflow)
        .group_by(*stand)
        .having(runs != 0)
        .order_by(*stand)
    )
    return [
        RunCount(status, RunState(run_state), int(number))
        for status, run_state, number in session.connection.execute(counted)
    ]


def runs(session: Session, query: RunQuery) -> list[Record]:
    statement = page(session, query)
    return (
        []
        if statement is None
        else [to_record(row) for row in session.connection.execute(statement)]
    )


def page(session: Session, query: RunQuery) -> Select[Any] | None:
    """Build the query's statement. None: there are no such runs."""
    by = desc if query.newest_first else asc
    keys = _keys(session, query, by)
    if keys is None:
        return None
    fitting = _fitting(keys, by)
    return (
        select(*RECORD)
        .join(fitting, fitting.c.run_id == records.c.run_id)
        .order_by(by(records.c.run_id))
    )


def _keys(session: Session, query: RunQuery, by: Order) -> Subquery | None:
    """Build a query for the run ids of the page, or of more where its data is large. None: there
    are none.
    """
    if query.parent is not None or query.child is not None:
        return _relatives(query, by)
    if query.labels and query.foreign_id is None:
        filters = [*_filters(query), *_of_status_and_state(query)]
        return labelled.keys(session, query, filters, by).subquery("keys")
    return _merged(_parts(session, query), query, by)


def _relatives(query: RunQuery, by: Order) -> Subquery:
    """Build a query for the run ids of the page, which are those of children or of parents. An
    index has the links of each run in their order.
    """
    one, other = links.c.parent, links.c.child
    filters = [*_filters(query), *_of_status_and_state(query), *labelled.having(query.labels)]
    if query.parent is None:
        key, linked = one, [other == query.child]
    else:
        key, linked = other, [one == query.parent]
        if query.since:
            linked.append(links.c.version >= query.since)
        if query.cascading:
            linked.append(links.c.cascades == true())
        if query.child is not None:
            parents = links.alias("parents")
            filters.append(
                records.c.run_id.in_(select(parents.c.parent).where(parents.c.child == query.child))
            )
    if query.foreign_id is not None:
        filters.append(records.c.foreign_id == query.foreign_id)
    if query.after is not None:
        linked.append(key < query.after if query.newest_first else key > query.after)
    return (
        select(key.label("run_id"))
        .distinct()
        .join(records, records.c.run_id == key)
        .where(*linked, *filters, records.c.workflow == query.workflow)
        .order_by(by(key))
        .limit(query.limit)
        .subquery("keys")
    )


def _parts(session: Session, query: RunQuery) -> list[Part]:
    """Return parts that together hold every run of the page. Each is one range of an index."""
    filters = [*_filters(query), *_of_status_and_state(query)]
    if query.foreign_id is not None:
        return [
            Part(
                [
                    *filters,
                    *labelled.having(query.labels),
                    records.c.workflow == query.workflow,
                ],
                records.c.foreign_id,
                query.foreign_id,
            )
        ]
    whole = [Part(filters, records.c.workflow, query.workflow)]
    if not (query.statuses or query.run_states):
        return whole
    held = [
        (count.status, count.run_state)
        for count in counts(session, query.workflow)
        if (not query.statuses or count.status in query.statuses)
        and (not query.run_states or count.run_state in query.run_states)
    ]
    of_workflow = [*_filters(query), records.c.workflow == query.workflow]
    parts = [
        Part(of_workflow, records.c.resting, resting(status, run_state))
        for status, run_state in held
    ]
    if any(not run_state.at_rest for _, run_state in held):
        parts += _awaiting(session, query)
    return parts if len(parts) <= MOST else whole


def _awaiting(session: Session, query: RunQuery) -> list[Part]:
    # in the index's order
    awaiting = (records.c.workflow == query.workflow, records.c.awaiting.is_not(None))
    last = session.connection.scalar(select(func.max(records.c.awaiting)).where(*awaiting))
    filters = [*_filters(query), *_of_status_and_state(query), records.c.workflow == query.workflow]
    return (
        []
        if last is None
        else [Part(filters, records.c.awaiting, partition) for partition in range(last + 1)]
    )


def _of_status_and_state(query: RunQuery) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if query.statuses:
        filters.append(records.c.status.in_(query.statuses))
    if query.run_states:
        filters.append(records.c.run_state.in_(query.run_states))
    return filters


def _filters(query: RunQuery) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = []
    if query.created_from is not None:
        filters.append(records.c.created_at >= micros(query.created_from))
    if query.created_before is not None:
        filters.append(records.c.created_at < micros(query.created_before))
    if query.causes:
        filters.append(records.c.cause.in_([int(cause) for cause in query.causes]))
    if query.updated_before is not None:
        filters.append(records.c.updated_at < micros(query.updated_before))
    if query.after is not None:
        filters.append(
            records.c.run_id < query.after if query.newest_first else records.c.run_id > query.after
        )
    return filters


def _merged(parts: Sequence[Part], query: RunQuery, by: Order) -> Subquery | None:
    """Build a query for the run ids of the page, or of more where its data is large. None: there
    are none.
    """

    if len(parts) < 2:
        return parts[0].keys(by, query.limit).subquery("keys") if parts else None
    # a limit inside a union needs a query of its own
    limited = (select(part.keys(by, query.limit).subquery()) for part in parts)
    together = union_all(*limited).subquery("together")
    return (
        select(together.c.run_id)
        .order_by(by(together.c.run_id))
        .limit(query.limit)
        .subquery("keys")
    )


def _fitting(keys: Subquery, by: Order) -> Subquery:
    """Keep the runs whose data makes a page. The sizes are added up first, so that no data beyond
    it is read.
    """
    size = func.length(records.c.data)
    sized = (
        select(keys.c.run_id, size.label("size"))
        .join(records, records.c.run_id == keys.c.run_id)
        .subquery("sized")
    )
    before = func.sum(sized.c.size).over(order_by=by(sized.c.run_id)) - sized.c.size
    summed = select(sized.c.run_id, before.label("before")).subquery("summed")
    return select(summed.c.run_id).where(summed.c.before <= BATCH_DATA).subquery("page")
