"""Write all groups of a transaction together, in a number of statements that does not depend on how
many there are.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import ClauseElement, ColumnElement, func, null, select

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
from workflow_ray_adapters.sql import positions, timeouts
from workflow_ray_adapters.sql.counters import Counters
from workflow_ray_adapters.sql.dialect import Columns, Dialect
from workflow_ray_adapters.sql.existing import find
from workflow_ray_adapters.sql.rows import Values
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import history, idempotency_keys, records
from workflow_ray_adapters.sql.targets import Targets, find_targets
from workflow_ray_adapters.sql.waits import Waits
from workflow_ray_adapters.sql.write_batch import WriteBatch


class Applied(msgspec.Struct, frozen=True):
    """One answer for each group, in order, and what is to be sent."""

    answers: list[GroupResult]
    # entries for the outbox, in commit order, which are not yet made
    outgoing: Sequence[Values]


def store(
    session: Session,
    groups: Sequence[WriteGroup],
    epochs: Mapping[RoleName, int],
    counters: Counters,
    late: set[RunId],
) -> Applied:
    """Decide the groups in order and apply what wins. Of two writes for one version the first wins,
    whichever groups they are in. Runs that it could not lock in order are added to `late`: the next
    try does.
    """
    fenced = [_fenced(group, epochs) for group in groups]
    valid = [group for group, refusal in zip(groups, fenced, strict=True) if refusal is None]
    writes = [write for group in valid for write in group.writes]
    targets = find_targets(session, valid)
    existing = find(session, writes, targets, late)
    batch = WriteBatch(existing, session.now())
    waits: Waits | None = None
    if targets is not None or existing.has_marks:
        waits = Waits.find(session, batch, valid, targets or Targets(), late)
    decided = _stage(batch, valid) if waits is None else waits.stage(valid)
    for group in valid:
        for position in group.positions:
            batch.stage_position(position)
        for event in group.events:
            batch.stage_event(event)
    apply(session, batch, waits, counters)
    if batch.lost:
        decided = _with_repeats(session, valid, decided, batch.lost)
    committed = iter(decided)
    session.notification.runs |= {
        run_id: row["version"]
        for rows in (batch.inserts, batch.updates)
        for run_id, row in rows.items()
    }
    session.notification.at_rest |= batch.at_rest
    return Applied(
        answers=[refusal or next(committed) for refusal in fenced], outgoing=batch.outbox
    )


def _fenced(group: WriteGroup, epochs: Mapping[RoleName, int]) -> Fenced | None:
    if group.fence is None or (current := epochs.get(group.fence.role, 0)) == group.fence.epoch:
        return None
    return Fenced(group.fence.role, current)


def _stage(batch: WriteBatch, groups: Sequence[WriteGroup]) -> list[Committed]:
    """Stage groups of writes alone."""
    stage = batch.stage
    return [
        Committed(
            tuple([stage(write, timeouts_apart=group.timeouts_apart) for write in group.writes])
        )
        for group in groups
    ]


# --- repeats ---------------------------------------------------------------------------------


def _with_repeats(
    session: Session,
    groups: Sequence[WriteGroup],
    decided: Sequence[Committed],
    lost: Sequence[Write],
) -> list[Committed]:
    """Answer Stored to the writes in conflict that are in the history: they were made before, or
    earlier in this transaction.
    """
    made: set[tuple[RunId, Version, WriteId]] = set(
        session.rows(
            _made,
            run_ids={write.run_id for write in lost},
            versions={write.version for write in lost},
        )
    )
    return [
        structs.replace(
            committed,
            results=tuple(
                [
                    _answer(write, result, made)
                    for write, result in zip(group.writes, committed.results, strict=True)
                ]
            ),
        )
        for group, committed in zip(groups, decided, strict=True)
    ]


def _answer(
    write: Write, result: WriteResult, made: set[tuple[RunId, Version, WriteId]]
) -> WriteResult:
    if isinstance(result, Conflict) and (write.run_id, write.version, write.write_id) in made:
        return Stored(write.run_id, write.version)
    return result


def _made(dialect: Dialect) -> ClauseElement:
    query = select(history.c.run_id, history.c.version, history.c.write_id)
    return query.where(
        dialect.among(history.c.run_id, "run_ids"), dialect.among(history.c.version, "versions")
    )


# --- what they change --------------------------------------------------------------------------


def apply(session: Session, batch: WriteBatch, waits: Waits | None, counters: Counters) -> None:
    """Apply the staged rows. Updates come before inserts: a run that ends frees its foreign id for
    one that begins. What others may write as well is written in the order of its keys, so that no
    two transactions wait for each other.
    """
    updates = batch.updates.values()
    if batch.waits:
        session.run(_await, list(batch.waits.values()))
    session.run(_go_on, [row for row in updates if not (row["is_indexed"] or row["is_finished"])])
    session.run(_settle, [row for row in updates if row["is_indexed"] and not row["is_finished"]])
    session.run(_finish, [row for row in updates if row["is_finished"]])
    session.run(
        _insert_record, sorted(batch.inserts.values(), key=itemgetter("workflow", "foreign_id"))
    )
    if batch.marks:
        session.run(_mark, [{"run": run, "given": marks} for run, marks in batch.marks.items()])
    session.run(_insert_key, sorted(batch.keys, key=itemgetter("workflow", "idempotency_key")))
    session.run(_insert_entry, batch.history)
    timeouts.add(session, list(batch.timeouts.values()))
    for written in batch.positions:
        positions.write(session, written.values())
    counters.add(session, batch.counts)
    if waits:
        waits.apply(session)


def _await(dialect: Dialect) -> ClauseElement:
    """Update for a run that awaits something else, without a version."""
    changing = {"awaits": records.c.awaits, **INDEXED}
    return dialect.update(
        records,
        {"run": records.c.run_id, **changing},
        lambda row, new: (row.run_id == new["run"],),
        lambda _, new: {name: new[name] for name in changing},
    )


def _mark(dialect: Dialect) -> ClauseElement:
    return dialect.update(
        records,
        {"run": records.c.run_id, "given": records.c.marks},
        lambda row, new: (row.run_id == new["run"],),
        lambda _, new: {"marks": new["given"]},
    )


def _go_on(dialect: Dialect) -> ClauseElement:
    """Update for a step that leads to a step. It has a statement of its own, because the others
    cost indexes that this one leaves alone.
    """
    return _update(dialect, {})


def _settle(dialect: Dialect) -> ClauseElement:
    return _update(dialect, INDEXED)


def _finish(dialect: Dialect) -> ClauseElement:
    """Update for a run that ends, which frees its foreign id."""
    return _update(dialect, INDEXED, unfinished=null())


PLAIN = {
    name: records.c[name]
    for name in (
        "status",
        "run_state",
        "version",
        "visit",
        "attempt",
        "cause",
        "reason",
        "awaits",
        "awaited",
        "updated_at",
    )
}
INDEXED = {name: records.c[name] for name in ("awaiting", "resting")}
KEPT = {"new_data": records.c.data}
"""Where the value given is NULL, the stored one stays."""


def _update(dialect: Dialect, indexed: Columns, **fixed: ColumnElement[Any]) -> ClauseElement:
    changing = {**PLAIN, **indexed}

    def change(row: Any, new: Any) -> Columns:
        return {
            **{name: new[name] for name in changing},
            "data": func.coalesce(new["new_data"], row.data),
            **fixed,
        }

    return dialect.update(
        records,
        {"run": records.c.run_id, "before": records.c.version, **changing, **KEPT},
        lambda row, new: (row.run_id == new["run"], row.version == new["before"]),
        change,
    )


def _insert_record(dialect: Dialect) -> ClauseElement:
    """Insert without marks: a run without messages, parents and the like has the default."""
    return dialect.insert(
        records, *(column.name for column in records.c if column is not records.c.marks)
    )


def _insert_key(dialect: Dialect) -> ClauseElement:
    return dialect.insert(idempotency_keys)


def _insert_entry(dialect: Dialect) -> ClauseElement:
    return dialect.insert(history)
