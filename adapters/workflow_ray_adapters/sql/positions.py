"""The committed positions of groups."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace
from sqlalchemy import ClauseElement, ColumnElement, and_, bindparam, case, select

from workflow_ray.records import Fence, Position, RoleName
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import positions
from workflow_ray_adapters.sql.rows import Values
from workflow_ray_adapters.sql.session import Session

Positions: TypeAlias = dict[tuple[str, int], Position]
"""Positions by their group and partition."""


def merged(before: Position | None, written: Position) -> Position:
    """Merge a position with the one stored before it. `_merge` does the same in SQL."""
    if before is None or written.log != before.log or written.incarnation > before.incarnation:
        return written
    if written.incarnation < before.incarnation:
        return before
    return replace(
        written, offset=max(before.offset, written.offset), begun=max(before.begun, written.begun)
    )


def stage(staged: list[Positions], position: Position) -> None:
    """Add a position to those that are written one after another. Two for one partition are merged;
    but of two logs each is written, because merged the second would replace what was stored before
    both.
    """
    key = (position.group, position.partition)
    before = staged[-1].get(key)
    if before is not None and before.log != position.log:
        staged.append({})
        before = None
    staged[-1][key] = merged(before, position)


def write(session: Session, written: Iterable[Position]) -> None:
    """Write one position for each group and partition, in their order, so that no two transactions
    wait for each other.
    """
    session.run(
        _merge,
        [
            _row(position)
            for position in sorted(
                written, key=lambda position: (position.group, position.partition)
            )
        ],
    )


def _row(position: Position) -> Values:
    return {
        "role_group": position.group,
        "partition_no": position.partition,
        "stream_offset": position.offset,
        "begun": position.begun,
        "trying": msgspec.json.encode(position.trying).decode() if position.trying else None,
        "in_use_role": position.in_use.role if position.in_use else None,
        "in_use_epoch": position.in_use.epoch if position.in_use else None,
        "incarnation": position.incarnation,
        "log": position.log,
    }


def _merge(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(
        positions, lambda row, new: {name: _change(row, new, name) for name in CHANGING}
    )


CHANGING = [column.name for column in positions.c if not column.primary_key]
ONLY_AHEAD = ("stream_offset", "begun")


def _change(row: Any, new: Any, name: str) -> ColumnElement[Any]:
    stale = and_(new.log == row.log, new.incarnation < row.incarnation)
    if name not in ONLY_AHEAD:
        return case((stale, row[name]), else_=new[name])
    behind = and_(new.log == row.log, new.incarnation == row.incarnation, new[name] < row[name])
    return case((stale, row[name]), (behind, row[name]), else_=new[name])


def read(session: Session, group: str) -> list[Position]:
    return [_position(group, *row) for row in session.rows(_of_group, group=group)]


def _of_group(_: Dialect) -> ClauseElement:
    columns = [column for column in positions.c if column is not positions.c.role_group]
    return (
        select(*columns)
        .where(positions.c.role_group == bindparam("group"))
        .order_by(positions.c.partition_no)
    )


def _position(
    group: str,
    partition: int,
    offset: int,
    begun: int,
    trying: str | None,
    role: RoleName | None,
    epoch: int | None,
    incarnation: int,
    log: str,
) -> Position:
    return Position(
        group=group,
        partition=partition,
        offset=offset,
        begun=begun,
        trying=msgspec.json.decode(trying, type=tuple[int, ...]) if trying else (),
        log=log,
        incarnation=incarnation,
        in_use=None if role is None or epoch is None else Fence(role, epoch),
    )
