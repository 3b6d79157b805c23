"""Write all groups of a transaction together, in a number of statements that does not depend on how
many there are.
"""

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter

import msgspec
from msgspec import structs
from sqlalchemy import ClauseElement, select

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
from workflow_ray_adapters.sql import erasing, extensions, positions, timeouts
from workflow_ray_adapters.sql import record_statements as statements
from workflow_ray_adapters.sql.counters import Counters
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.existing import find
from workflow_ray_adapters.sql.rows import Values
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import history
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
            positions.stage(batch.positions, position)
        for event in group.events:
            batch.stage_event(event)
        for later in group.postponed:
            batch.stage_event(later.event, later.delay)
    apply(session, batch, waits, counters)
    if waits is not None and targets is not None and targets.removes:
        decided = waits.removals.apply(session, valid, decided)
    if batch.lost:
        decided = _with_repeats(session, valid, decided, batch.lost)
    committed = iter(decided)
    session.notification.runs |= {
        run_id: row["version"]
        for rows in (batch.inserts, batch.updates)
        for run_id, row in rows.items()
    }
    session.notification.at_rest |= batch.at_rest
    session.notification.flow |= batch.extensions.changes.keys()
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
    updates: Collection[Values] = batch.updates.values()
    if batch.waits:
        session.run(statements.await_, list(batch.waits.values()))
    if batch.extensions.runs:
        updates = _rewrite(session, batch)
    session.run(
        statements.go_on, [row for row in updates if not (row["is_indexed"] or row["is_finished"])]
    )
    session.run(
        statements.settle, [row for row in updates if row["is_indexed"] and not row["is_finished"]]
    )
    session.run(statements.finish, [row for row in updates if row["is_finished"]])
    _insert(session, batch)
    if batch.marks:
        session.run(
            statements.mark, [{"run": run, "given": marks} for run, marks in batch.marks.items()]
        )
    session.run(
        statements.insert_key, sorted(batch.keys, key=itemgetter("workflow", "idempotency_key"))
    )
    _add_history(session, batch)
    timeouts.add(session, list(batch.timeouts.values()))
    for written in batch.positions:
        positions.write(session, written.values())
    counters.add(session, batch.counts, batch.extensions.changes)
    batch.extensions.apply(session)
    if waits:
        waits.apply(session)
    if batch.erased:
        erasing.apply(session, batch.erased)


def _rewrite(session: Session, batch: WriteBatch) -> list[Values]:
    """Update the runs that have more than most, and return the rows of the others."""
    runs = batch.extensions.runs
    extended = [row for run_id, row in batch.updates.items() if run_id in runs]
    session.run(statements.rewrite, [row for row in extended if not row["is_finished"]])
    session.run(statements.finish_rewritten, [row for row in extended if row["is_finished"]])
    return [row for run_id, row in batch.updates.items() if run_id not in runs]


def _insert(session: Session, batch: WriteBatch) -> None:
    rows = sorted(batch.inserts.values(), key=itemgetter("workflow", "foreign_id"))
    if batch.extensions.runs.isdisjoint(batch.inserts):
        session.run(statements.insert_record, rows)
    else:
        whole = [extensions.NONE | row for row in rows]
        session.run(statements.insert_extended_record, whole)


def _add_history(session: Session, batch: WriteBatch) -> None:
    if not batch.has_details:
        session.run(statements.insert_entry, batch.history)
    else:
        whole = [statements.DETAILS | row for row in batch.history]
        session.run(statements.insert_detailed_entry, whole)
