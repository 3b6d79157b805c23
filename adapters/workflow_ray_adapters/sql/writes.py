"""The writes of a transaction: all its groups together, in a number of statements that doesn't depend on how many there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, Connection, Executable, LargeBinary, bindparam, case, func, insert, null, select, update

from workflow_ray.records import (
    Committed,
    Conflict,
    Fenced,
    GroupResult,
    RoleName,
    RunId,
    Stored,
    Version,
    Write,
    WriteGroup,
    WriteId,
    WriteResult,
)
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.ledger import Ledger, Standing
from workflow_ray_adapters.sql.tables import history, idempotency_keys, outbox, positions, records

STATE = ("status", "run_state", "version", "visit", "attempt", "cause", "reason", "updated_at")
UPDATE_RECORD = (
    update(records)
    .where(records.c.run_id == bindparam("run"), records.c.version == bindparam("before"))
    .values(
        {
            **{name: bindparam(name) for name in STATE},
            "data": func.coalesce(bindparam("new_data", type_=LargeBinary), records.c.data),
            "unfinished": case((bindparam("finished"), null()), else_=records.c.unfinished),
        }
    )
)
Key: TypeAlias = tuple[str, str]  # a workflow, and an idempotency key or a foreign id of it
Decided: TypeAlias = list[tuple[Write, WriteResult]]


@dataclass(frozen=True)
class Landed:
    """One answer a group, in order, and what to wake others for."""

    answers: list[GroupResult]
    runs: set[RunId]  # that have a new version
    due: set[int]  # when new outbox entries may be published


def store(connection: Connection, dialect: Dialect, groups: Sequence[WriteGroup], epochs: Mapping[RoleName, int], now: int) -> Landed:
    """Decide the groups in order and land what wins. Of two writes for one version the first wins, whichever groups they are in."""
    fenced = [_fenced(group, epochs) for group in groups]
    valid = [group for group, refusal in zip(groups, fenced, strict=True) if refusal is None]
    ledger = Ledger(_standing(connection, dialect, [write for group in valid for write in group.writes]), now)
    decided: list[Decided] = []
    for group in valid:
        decided.append([(write, ledger.enter(write)) for write in group.writes])
        for position in group.positions:
            ledger.reach(position)
    _land(connection, dialect, ledger)
    repeats = _repeats(connection, dialect, decided)
    committed = iter([Committed(tuple(_answer(write, result, repeats) for write, result in group)) for group in decided])
    return Landed(
        answers=[refusal or next(committed) for refusal in fenced],
        runs={*ledger.inserts, *ledger.updates},
        due=ledger.due,
    )


def _fenced(group: WriteGroup, epochs: Mapping[RoleName, int]) -> Fenced | None:
    if group.fence is None or (current := epochs.get(group.fence.role, 0)) == group.fence.epoch:
        return None
    return Fenced(group.fence.role, current)


def _standing(connection: Connection, dialect: Dialect, writes: Sequence[Write]) -> Standing:
    new = [write.new for write in writes if write.new is not None]
    return Standing(
        versions=_versions(connection, dialect, sorted({write.run_id for write in writes})),
        keys=_keys(connection, dialect, [(run.workflow, run.idempotency_key) for run in new if run.idempotency_key is not None]),
        unfinished=_unfinished(connection, dialect, [(run.workflow, run.foreign_id) for run in new]),
    )


def _versions(connection: Connection, dialect: Dialect, run_ids: Sequence[RunId]) -> dict[RunId, Version]:
    query = select(records.c.run_id, records.c.version).order_by(records.c.run_id)
    found: dict[RunId, Version] = {}
    for part in dialect.slices(run_ids):
        found.update(connection.execute(dialect.locked(query.where(records.c.run_id.in_(part)))).all())
    return found


def _keys(connection: Connection, dialect: Dialect, wanted: Sequence[Key]) -> dict[Key, RunId]:
    """The runs of idempotency keys, of more than those wanted where there are several workflows."""
    query = select(idempotency_keys.c.workflow, idempotency_keys.c.idempotency_key, idempotency_keys.c.run_id)
    found: dict[Key, RunId] = {}
    for part in dialect.slices(wanted):
        rows = connection.execute(query.where(*_among(idempotency_keys.c.workflow, idempotency_keys.c.idempotency_key, part)))
        found.update({(workflow, key): run_id for workflow, key, run_id in rows})
    return found


def _unfinished(connection: Connection, dialect: Dialect, wanted: Sequence[Key]) -> dict[Key, RunId]:
    """The unfinished runs of foreign ids, of more than those wanted where there are several workflows."""
    query = select(records.c.workflow, records.c.unfinished, records.c.run_id)
    found: dict[Key, RunId] = {}
    for part in dialect.slices(wanted):
        rows = connection.execute(query.where(*_among(records.c.workflow, records.c.unfinished, part)))
        found.update({(workflow, foreign_id): run_id for workflow, foreign_id, run_id in rows})
    return found


def _among(workflow: Column[Any], key: Column[Any], wanted: Sequence[Key]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return workflow.in_(sorted({name for name, _ in wanted})), key.in_(sorted({value for _, value in wanted}))


def _land(connection: Connection, dialect: Dialect, ledger: Ledger) -> None:
    """Updates before inserts: a run that ends frees its foreign id for one that begins."""
    reached = [
        {"role_group": group, "partition_no": partition, "stream_offset": offset} for (group, partition), offset in ledger.positions.items()
    ]
    statements: list[tuple[Executable, Sequence[Mapping[str, object]]]] = [
        (UPDATE_RECORD, list(ledger.updates.values())),
        (insert(records), list(ledger.inserts.values())),
        (insert(idempotency_keys), ledger.keys),
        (insert(history), ledger.history),
        (insert(outbox), ledger.outbox),
        (_furthest(dialect), reached),
    ]
    for statement, rows in statements:
        if rows:
            connection.execute(statement, rows)


@cache
def _furthest(dialect: Dialect) -> Executable:
    return dialect.upsert(
        positions,
        lambda row, new: {"stream_offset": case((new.stream_offset > row.c.stream_offset, new.stream_offset), else_=row.c.stream_offset)},
    )


def _repeats(connection: Connection, dialect: Dialect, decided: Sequence[Decided]) -> set[tuple[RunId, Version, WriteId]]:
    """Of the writes in conflict those that stand in the history: made before, or earlier in this transaction."""
    lost = [write for group in decided for write, result in group if isinstance(result, Conflict)]
    found: set[tuple[RunId, Version, WriteId]] = set()
    for writes in dialect.slices(lost):
        query = select(history.c.run_id, history.c.version, history.c.write_id).where(
            history.c.run_id.in_({write.run_id for write in writes}), history.c.version.in_({write.version for write in writes})
        )
        found.update((run_id, version, write_id) for run_id, version, write_id in connection.execute(query))
    return found


def _answer(write: Write, result: WriteResult, repeats: set[tuple[RunId, Version, WriteId]]) -> WriteResult:
    if isinstance(result, Conflict) and (write.run_id, write.version, write.write_id) in repeats:
        return Stored(write.run_id, write.version)
    return result
