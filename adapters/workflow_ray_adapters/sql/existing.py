"""Find and lock what the writes of a transaction meet."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Select, func, select

from workflow_ray.records import RunId, Write
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.found import Existing, make_found
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import idempotency_keys, records
from workflow_ray_adapters.sql.targets import ForeignKey, Targets


def find(
    session: Session,
    writes: Sequence[Write],
    targets: Targets | None = None,
    late: Collection[RunId] = (),
) -> Existing:
    """Find and lock the runs of the writes, those that the targets name, and those that an earlier
    try has found late.

    Others commit between these statements. Keys come after foreign ids: a used key is reported
    before an active run, so who finds the run must find its key. Versions come last: while that
    statement waits for a lock, somebody may commit a run that is to begin here. Its insert then
    fails, and the next try finds it all; looked up afterwards it would seem to be another run
    that has the key.
    """
    new = [write.new for write in writes if write.new is not None]
    keys = {run.idempotency_key for run in new if run.idempotency_key is not None}
    run_ids = {write.run_id for write in writes}
    if late:
        run_ids |= set(late)
    taken = [(run.workflow, run.foreign_id) for run in new]
    if targets is not None:
        taken += targets.taken
    unfinished = find_unfinished(session, taken) if taken else {}
    used: list[tuple[str, str, RunId, bytes | None]] = (
        session.rows(_keys, workflows={run.workflow for run in new}, keys=keys) if keys else []
    )
    existing = Existing(
        runs={},
        keys={(workflow, key): (run_id, digest) for workflow, key, run_id, digest in used},
        unfinished=unfinished,
    )
    if targets is not None:
        existing.newest = _find_newest(session, targets.addressed - unfinished.keys())
        existing.newest |= {key: unfinished[key] for key in targets.addressed & unfinished.keys()}
        run_ids |= targets.run_ids | set(existing.newest.values())
        run_ids |= {unfinished[key] for key in targets.wanted & unfinished.keys()}
    lock(session, existing, run_ids)
    if targets is not None:
        _look_again(session, existing, targets.wanted)
    return existing


def lock(session: Session, existing: Existing, run_ids: Collection[RunId]) -> None:
    """Find and lock runs, in the order of their ids."""
    rows = session.rows_and_time(_runs, run_ids=sorted(run_ids)) if run_ids else []
    existing.runs |= {found.run_id: found for found in map(make_found, rows)}


def lock_late(session: Session, existing: Existing, run_ids: set[RunId], late: set[RunId]) -> None:
    """Find and lock runs of which only the locked ones have told.

    They may come before those in the order of the ids, so this does not wait for others: each might
    wait for the other, which PostgreSQL finds out after a second. The next try locks them in order,
    because `late` names them.
    """
    late |= run_ids
    rows = session.rows_and_time(_runs_at_once, run_ids=sorted(run_ids)) if run_ids else []
    existing.runs |= {found.run_id: found for found in map(make_found, rows)}


def _look_again(session: Session, existing: Existing, wanted: set[ForeignKey]) -> None:
    """Look again for the unfinished runs of foreign ids whose runs had ended when they were
    locked: others may have begun since.
    """
    unfinished, runs = existing.unfinished, existing.runs
    while ended := {
        key
        for key in wanted & unfinished.keys()
        if (run := runs.get(unfinished[key])) is not None and run.is_finished
    }:
        for key in ended:
            del unfinished[key]
        found = find_unfinished(session, ended)
        begun = {key: found[key] for key in ended & found.keys()}
        unfinished |= begun
        existing.newest |= begun
        lock(session, existing, set(begun.values()) - runs.keys())


def find_unfinished(session: Session, keys: Collection[ForeignKey]) -> dict[ForeignKey, RunId]:
    """Return the unfinished runs of the foreign ids, and perhaps of others."""
    rows: list[tuple[str, str, RunId]] = session.rows(
        _unfinished,
        workflows={workflow for workflow, _ in keys},
        foreign_ids={foreign_id for _, foreign_id in keys},
    )
    return {(workflow, foreign_id): run_id for workflow, foreign_id, run_id in rows}


def _find_newest(session: Session, keys: Collection[ForeignKey]) -> dict[ForeignKey, RunId]:
    """Return the newest run of each of the foreign ids."""
    if not keys:
        return {}
    rows: list[tuple[str, str, RunId]] = session.rows(
        _newest,
        workflows={workflow for workflow, _ in keys},
        foreign_ids={foreign_id for _, foreign_id in keys},
    )
    found = {(workflow, foreign_id): run_id for workflow, foreign_id, run_id in rows}
    return {key: found[key] for key in keys if key in found}


def _runs(dialect: Dialect) -> ClauseElement:
    return dialect.lock_rows(_by_id(dialect))


def _runs_at_once(dialect: Dialect) -> ClauseElement:
    return dialect.lock_rows(_by_id(dialect), waits=False)


def _by_id(dialect: Dialect) -> Select[*tuple[Any, ...]]:
    table = records.c
    columns = (
        table.run_id,
        table.version,
        table.workflow,
        table.status,
        table.run_state,
        table.partition_no,
        table.awaiting,
        table.marks,
        table.visit,
        table.awaited,
        table.data_version,
        table.parked,
    )
    query = select(*columns, *dialect.clock()).where(dialect.among(table.run_id, "run_ids"))
    return query.order_by(records.c.run_id)


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


def _newest(dialect: Dialect) -> ClauseElement:
    """As _keys."""
    key = (records.c.workflow, records.c.foreign_id)
    return (
        select(*key, func.max(records.c.run_id))
        .where(
            dialect.among(records.c.workflow, "workflows"),
            dialect.among(records.c.foreign_id, "foreign_ids"),
        )
        .group_by(*key)
    )
