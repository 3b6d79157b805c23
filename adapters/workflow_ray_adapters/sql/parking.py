"""Read the runs that flow control orders at a status. Each function runs in one snapshot.

An index has the parked runs, and the runs that hold a slot, by key. The keys of the parked runs
are found by going through it from each to the next, so that parked runs are not read to find keys.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from workflow_ray.records import Parked, ParkedKey, ParkedQuery, ParkedRun, RunId
from workflow_ray_adapters.sql.counters import OfStatus
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.pages import MOST
from workflow_ray_adapters.sql.rows import lane, moment
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import parking_changes, records
from workflow_ray_adapters.sql.wakeups import SeenFlow

HOLDS_SLOT, IS_PARKED = 0, 1
"""The values of the column `parked`."""


def read(session: Session, query: ParkedQuery) -> Parked:
    """Return a page of the keys."""
    of_status = (query.workflow, query.status)
    change = _changes(session, [of_status]).get(of_status, 0)
    slots = _slots(session, query)
    held = {key for key in slots if query.after is None or key > query.after}
    keys = sorted(held.union(_parked_keys(session, query)))
    page = keys[: query.keys]
    first = _first_parked(session, query, page)
    return Parked(
        keys=tuple(
            ParkedKey(key=key, admitted=slots.get(key, 0), parked=first.get(key, ()))
            for key in page
        ),
        admitted=sum(slots.values()),
        more=len(keys) > len(page),
        change=change,
        now=moment(session.now()),
    )


def changed(session: Session, seen: Collection[SeenFlow]) -> set[OfStatus]:
    """Return the statuses at which something has changed since."""
    changes = _changes(session, {(workflow, status) for workflow, status, _ in seen})
    return {
        (workflow, status)
        for workflow, status, change in seen
        if changes.get((workflow, status), 0) != change
    }


def _changes(session: Session, statuses: Collection[OfStatus]) -> dict[OfStatus, int]:
    """Return how often something has changed at each of the statuses, if it has."""
    table = parking_changes.c
    asked = [
        and_(table.workflow == workflow, table.status == status) for workflow, status in statuses
    ]
    summed = (
        select(table.workflow, table.status, func.sum(table.changes))
        .where(or_(*asked))
        .group_by(table.workflow, table.status)
    )
    return {
        (workflow, status): int(changes)
        for workflow, status, changes in session.connection.execute(summed)
    }


def _slots(session: Session, query: ParkedQuery) -> dict[str, int]:
    """Return how many runs of each key hold a slot."""
    return dict(session.rows(_held, workflow=query.workflow, lane=lane(query.status, HOLDS_SLOT)))


def _held(_: Dialect) -> ClauseElement:
    key = records.c.parking_key
    return select(key, func.count()).where(*_in_lane()).group_by(key)


def _parked_keys(session: Session, query: ParkedQuery) -> list[str]:
    """Return the first keys of the page that have parked runs, and one more."""
    of_lane: dict[str, object] = {
        "workflow": query.workflow,
        "lane": lane(query.status, IS_PARKED),
    }
    if not session.dialect.correlated_ranges:
        return _keys_one_by_one(session, query, of_lane)
    most = query.keys + 1
    if query.after is None:
        rows = session.rows(_first_keys, **of_lane, most=most)
    else:
        rows = session.rows(_next_keys, **of_lane, most=most, after=query.after)
    return [key for (key,) in rows]


def _keys_one_by_one(
    session: Session, query: ParkedQuery, of_lane: Mapping[str, object]
) -> list[str]:
    """As _parked_keys, with a statement for each key."""
    found: list[str] = []
    after = query.after
    while len(found) <= query.keys:
        if after is None:
            ((after,),) = session.rows(_least_key, **of_lane)
        else:
            ((after,),) = session.rows(_least_key_after, **of_lane, after=after)
        if after is None:
            break
        found.append(after)
    return found


def _least_key(_: Dialect) -> ClauseElement:
    return select(func.min(records.c.parking_key)).where(*_in_lane())


def _least_key_after(_: Dialect) -> ClauseElement:
    key = records.c.parking_key
    later = key > bindparam("after", type_=key.type)
    return select(func.min(key)).where(*_in_lane(), later)


def _first_keys(_: Dialect) -> ClauseElement:
    return _keys(None)


def _next_keys(_: Dialect) -> ClauseElement:
    return _keys(bindparam("after", type_=records.c.parking_key.type))


def _keys(after: ColumnElement[str] | None) -> Select[Any]:
    """Find keys one after another: each is the first one of the index after the one before."""
    first = _key_after(after).scalar_subquery()
    number = literal_column("1", Integer)
    found = select(first.label("found"), number.label("number")).cte("keys", recursive=True)
    following = _key_after(found.c.found).scalar_subquery()
    found = found.union_all(
        select(following, found.c.number + literal_column("1", Integer)).where(
            found.c.found.is_not(None), found.c.number < bindparam("most", type_=Integer)
        )
    )
    return select(found.c.found).where(found.c.found.is_not(None))


def _key_after(after: ColumnElement[str] | None) -> Select[Any]:
    key = records.c.parking_key
    later = [] if after is None else [key > after]
    return select(key).where(*_in_lane(), *later).order_by(key).limit(literal_column("1"))


def _in_lane() -> tuple[ColumnElement[bool], ...]:
    return (
        records.c.workflow == bindparam("workflow"),
        records.c.lane == bindparam("lane"),
    )


def _first_parked(
    session: Session, query: ParkedQuery, keys: Sequence[str]
) -> dict[str, tuple[ParkedRun, ...]]:
    """Return the first parked runs of each of the keys. The statement has a part for each, which is
    one range of the index.
    """
    columns = (records.c.parking_key, records.c.parking_rank, records.c.run_id)
    found: list[tuple[str, int, RunId]] = []
    for at in range(0, len(keys), MOST):
        parts = [
            select(*columns)
            .where(
                records.c.workflow == query.workflow,
                records.c.lane == lane(query.status, IS_PARKED),
                records.c.parking_key == key,
            )
            .order_by(*columns)
            .limit(query.per_key)
            for key in keys[at : at + MOST]
        ]
        # a limit inside a union needs a query of its own
        together = union_all(*(select(part.subquery()) for part in parts))
        found += [tuple(row) for row in session.connection.execute(together)]
    found.sort()
    return {
        key: tuple(ParkedRun(run_id=run_id, priority=-rank) for _, rank, run_id in runs)
        for key, runs in groupby(found, key=itemgetter(0))
    }
