"""Write all groups of a transaction together, in a number of statements that does not depend on how
many there are.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
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
from workflow_ray_adapters.sql.rows import Values
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import history, idempotency_keys, records
from workflow_ray_adapters.sql.write_batch import Existing, Found, WriteBatch

Decided: TypeAlias = list[tuple[Write, WriteResult]]


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
) -> Applied:
    """Decide the groups in order and apply what wins. Of two writes for one version the first wins,
    whichever groups they are in.
    """
    fenced = [_fenced(group, epochs) for group in groups]
    valid = [group for group, refusal in zip(groups, fenced, strict=True) if refusal is None]
    existing = _existing(session, [write for group in valid for write in group.writes])
    batch = WriteBatch(existing, session.now())
    decided: list[Decided] = []
    for group in valid:
        decided.append(
            [
                (write, batch.stage(write, timeouts_apart=group.timeouts_apart))
                for write in group.writes
            ]
        )
        for position in group.positions:
            batch.stage_position(position)
        for event in group.events:
            batch.stage_event(event)
    apply(session, batch, counters)
    repeats = _repeats(
        session,
        [write for group in decided for write, result in group if isinstance(result, Conflict)],
    )
    committed = iter(
        [
            Committed(tuple([_answer(write, result, repeats) for write, result in group]))
            for group in decided
        ]
    )
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


def _answer(
    write: Write, result: WriteResult, repeats: set[tuple[RunId, Version, WriteId]]
) -> WriteResult:
    if (
        repeats
        and isinstance(result, Conflict)
        and (write.run_id, write.version, write.write_id) in repeats
    ):
        return Stored(write.run_id, write.version)
    return result


# --- what the writes meet -----------------------------------------------------------------------


def _existing(session: Session, writes: Sequence[Write]) -> Existing:
    new = [write.new for write in writes if write.new is not None]
    workflows = {run.workflow for run in new}
    keys = {run.idempotency_key for run in new if run.idempotency_key is not None}
    run_ids = sorted({write.run_id for write in writes})
    # Others commit between these statements. Keys come after foreign ids: a used key is reported
    # before an active run, so who finds the run must find its key. Versions come last: while that
    # statement waits for a lock, somebody may commit a run that is to begin here. Its insert then
    # fails, and the next try finds it all; looked up afterwards it would seem to be another run
    # that has the key.
    unfinished: list[tuple[str, str, RunId]] = (
        session.rows(_unfinished, workflows=workflows, foreign_ids={run.foreign_id for run in new})
        if new
        else []
    )
    used: list[tuple[str, str, RunId, bytes | None]] = (
        session.rows(_keys, workflows=workflows, keys=keys) if keys else []
    )
    rows = session.rows_and_time(_runs, run_ids=run_ids) if run_ids else []
    return Existing(
        runs={found.run_id: found for found in map(Found._make, rows)},
        keys={(workflow, key): (run_id, digest) for workflow, key, run_id, digest in used},
        unfinished={(workflow, foreign_id): run_id for workflow, foreign_id, run_id in unfinished},
    )


def _runs(dialect: Dialect) -> ClauseElement:
    table = records.c
    columns = (
        table.run_id,
        table.version,
        table.workflow,
        table.status,
        table.run_state,
        table.partition_no,
        table.awaiting,
    )
    query = select(*columns, *dialect.clock()).where(dialect.among(table.run_id, "run_ids"))
    return dialect.lock_rows(query.order_by(records.c.run_id))


def _keys(dialect: Dialect) -> ClauseElement:
    """Find the keys. It finds more than was asked for where there are several workflows: each key
    in each of them.
    """
    table = idempotency_keys.c
    query = select(table.workflow, table.idempotency_key, table.run_id, table.digest)
    return query.where(
        dialect.among(table.workflow, "workflows"), dialect.among(table.idempotency_key, "keys")
    )


def _unfinished(dialect: Dialect) -> ClauseElement:
    """As _keys."""
    query = select(records.c.workflow, records.c.unfinished, records.c.run_id)
    return query.where(
        dialect.among(records.c.workflow, "workflows"),
        dialect.among(records.c.unfinished, "foreign_ids"),
    )


def _repeats(session: Session, lost: Sequence[Write]) -> set[tuple[RunId, Version, WriteId]]:
    """Return the writes in conflict that are in the history: they were made before, or earlier in
    this transaction.
    """
    if not lost:
        return set()
    return set(
        session.rows(
            _made,
            run_ids={write.run_id for write in lost},
            versions={write.version for write in lost},
        )
    )


def _made(dialect: Dialect) -> ClauseElement:
    query = select(history.c.run_id, history.c.version, history.c.write_id)
    return query.where(
        dialect.among(history.c.run_id, "run_ids"), dialect.among(history.c.version, "versions")
    )


# --- what they change --------------------------------------------------------------------------


def apply(session: Session, batch: WriteBatch, counters: Counters) -> None:
    """Apply the staged rows. Updates come before inserts: a run that ends frees its foreign id for
    one that begins. What others may write as well is written in the order of its keys, so that no
    two transactions wait for each other.
    """
    updates = batch.updates.values()
    session.run(_go_on, [row for row in updates if not (row["is_indexed"] or row["is_finished"])])
    session.run(_settle, [row for row in updates if row["is_indexed"] and not row["is_finished"]])
    session.run(_finish, [row for row in updates if row["is_finished"]])
    session.run(
        _insert_record, sorted(batch.inserts.values(), key=itemgetter("workflow", "foreign_id"))
    )
    session.run(_insert_key, sorted(batch.keys, key=itemgetter("workflow", "idempotency_key")))
    session.run(_insert_entry, batch.history)
    timeouts.add(session, list(batch.timeouts.values()))
    for written in batch.positions:
        positions.write(session, written.values())
    counters.add(session, batch.counts)


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
        "updated_at",
    )
}
INDEXED = {name: records.c[name] for name in ("awaiting", "resting")}
KEPT = {"new_data": records.c.data, "new_awaited": records.c.awaited}
"""Where the value given is NULL, the stored one stays."""


def _update(dialect: Dialect, indexed: Columns, **fixed: ColumnElement[Any]) -> ClauseElement:
    changing = {**PLAIN, **indexed}

    def change(row: Any, new: Any) -> Columns:
        return {
            **{name: new[name] for name in changing},
            "data": func.coalesce(new["new_data"], row.data),
            "awaited": func.coalesce(new["new_awaited"], row.awaited),
            **fixed,
        }

    return dialect.update(
        records,
        {"run": records.c.run_id, "before": records.c.version, **changing, **KEPT},
        lambda row, new: (row.run_id == new["run"], row.version == new["before"]),
        change,
    )


def _insert_record(dialect: Dialect) -> ClauseElement:
    return dialect.insert(records)


def _insert_key(dialect: Dialect) -> ClauseElement:
    return dialect.insert(idempotency_keys)


def _insert_entry(dialect: Dialect) -> ClauseElement:
    return dialect.insert(history)
