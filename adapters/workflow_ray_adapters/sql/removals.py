"""Remove finished runs, their histories, and what is kept of runs that do not exist any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs
from sqlalchemy import ClauseElement, Table, bindparam, func, select

from workflow_ray.records import Committed, Removal, RunId, RunState, Version, WriteGroup
from workflow_ray_adapters.sql import erasing
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.found import Found
from workflow_ray_adapters.sql.session import Session, Statement
from workflow_ray_adapters.sql.tables import (
    gatherings,
    history,
    idempotency_keys,
    labels,
    links,
    messages,
    once_results,
    records,
    timeouts,
)
from workflow_ray_adapters.sql.write_batch import WriteBatch

AT_ONCE = 500
"""The most idempotency keys, and the most messages, that one removal removes."""

DONE = "-"
"""Says that no keys are left, or no messages."""
DELETION_REQUESTED = int(RunState.REQUESTED_DATA_DELETED)


@dataclass
class Removals:
    """The removals of a transaction. Their runs are locked."""

    batch: WriteBatch
    # of each removal, in order: the runs, and the newest versions of the histories
    _shares: list[tuple[set[RunId], dict[RunId, Version]]] = field(
        default_factory=list[tuple[set[RunId], dict[RunId, Version]]]
    )

    def stage(self, removal: Removal) -> None:
        """Find what is to be removed. All else was staged."""
        finished = self._finished(removal, removal.runs)
        runs = {run_id for run_id, run in finished.items() if run.run_state != DELETION_REQUESTED}
        for run_id in runs:
            self.batch.remove(run_id)
        histories = self._finished(removal, removal.histories)
        self._shares.append((runs, {run.run_id: run.version for run in histories.values()}))

    def _finished(self, removal: Removal, run_ids: Sequence[RunId]) -> dict[RunId, Found]:
        runs = self.batch.existing.runs
        return {
            run_id: run
            for run_id in run_ids
            if (run := runs.get(run_id)) is not None
            and run.workflow == removal.workflow
            and run.is_finished
        }

    def apply(
        self, session: Session, groups: Sequence[WriteGroup], decided: Sequence[Committed]
    ) -> list[Committed]:
        """Remove it, and return the answers with the numbers. All else was written."""
        shares = iter(self._shares)
        return [
            _answered(committed, [_carry_out(session, each, *next(shares)) for each in removals])
            for removals, committed in zip(
                [group.removals for group in groups], decided, strict=True
            )
        ]


def _answered(committed: Committed, done: Sequence[tuple[int, str]]) -> Committed:
    if not done:
        return committed
    removed, left = zip(*done, strict=True)
    return structs.replace(committed, removed=removed, keys_left=left)


def _carry_out(
    session: Session, removal: Removal, runs: set[RunId], histories: Mapping[RunId, Version]
) -> tuple[int, str]:
    """Remove it. Return how many that was, and where keys are left: see Committed."""
    if runs:
        _remove_runs(session, runs)
    removed = len(runs) + (_trim(session, histories) if histories else 0)
    if removal.keys_below is None:
        return removed, ""
    keys, left = _remove_keys(session, removal)
    return removed + keys, left


# --- histories ----------------------------------------------------------------------------------


def _trim(session: Session, newest: Mapping[RunId, Version]) -> int:
    """Remove the entries before the newest ones. Return the number of runs that had some."""
    oldest: list[tuple[RunId, Version]] = session.rows(_oldest, run_ids=sorted(newest))
    longer = [run_id for run_id, version in oldest if version < newest[run_id]]
    session.run(_trim_history, [{"run": run_id, "last": newest[run_id]} for run_id in longer])
    return len(longer)


def _oldest(dialect: Dialect) -> ClauseElement:
    return (
        select(history.c.run_id, func.min(history.c.version))
        .where(dialect.among(history.c.run_id, "run_ids"))
        .group_by(history.c.run_id)
        .order_by(history.c.run_id)
    )


def _trim_history(dialect: Dialect) -> ClauseElement:
    return dialect.delete(
        history,
        {"run": history.c.run_id, "last": history.c.version},
        lambda row, new: (row.run_id == new["run"], row.version < new["last"]),
    )


# --- runs ---------------------------------------------------------------------------------------


def _remove_runs(session: Session, run_ids: set[RunId]) -> None:
    """Remove the runs, and all that is kept of them but for their keys and messages."""
    ids = sorted(run_ids)
    for statement in OF_RUNS:
        session.execute(statement, run_ids=ids)
    erasing.clear_messages(session, ids)


def _remover(table: Table, column: str) -> Statement:
    def remove(dialect: Dialect) -> ClauseElement:
        return table.delete().where(dialect.among(table.c[column], "run_ids"))

    return remove


OF_RUNS = (
    _remover(records, "run_id"),
    _remover(history, "run_id"),
    _remover(labels, "run_id"),
    _remover(links, "parent"),
    _remover(links, "child"),
    _remover(gatherings, "parent"),
    _remover(timeouts, "run_id"),
    _remover(once_results, "run_id"),
)


# --- keys of runs that do not exist -------------------------------------------------------------


def _remove_keys(session: Session, removal: Removal) -> tuple[int, str]:
    """Remove idempotency keys and messages of runs that do not exist any more.

    Return how many, and where there may be more: the run of the last key and that of the last
    message. Between them and the oldest only those of runs that exist are left, which may be many.
    """
    keys_from, _, messages_from = removal.keys_after.partition("/")
    asked = {"workflow": removal.workflow, "below": removal.keys_below, "most": AT_ONCE}
    keys: list[tuple[str, RunId]] = []
    if keys_from != DONE:
        keys = session.rows(_orphaned_keys, **asked, start=keys_from)
        session.run(
            _remove_key,
            [
                {"of_workflow": removal.workflow, "of_key": key, "of_run": run_id}
                for key, run_id in keys
            ],
        )
    posted: list[tuple[int, RunId]] = []
    if messages_from != DONE:
        posted = session.rows(_orphaned_messages, **asked, start=messages_from)
    if posted:
        session.execute(_remove_messages, ids=[number for number, _ in posted])
    left = _next(keys), _next(posted)
    return len(keys) + len(posted), "" if left == (DONE, DONE) else "/".join(left)


def _next(found: Sequence[tuple[object, RunId]]) -> str:
    return found[-1][1] if len(found) == AT_ONCE else DONE


def _orphaned_keys(_: Dialect) -> ClauseElement:
    keys = idempotency_keys.c
    return _orphaned(idempotency_keys, keys.idempotency_key, keys.run_id)


def _orphaned_messages(_: Dialect) -> ClauseElement:
    return _orphaned(messages, messages.c.id, messages.c.run_id)


def _orphaned(table: Table, *columns: Any) -> ClauseElement:
    return (
        select(*columns)
        .outerjoin(records, records.c.run_id == table.c.run_id)
        .where(
            table.c.workflow == bindparam("workflow"),
            table.c.run_id >= bindparam("start"),
            table.c.run_id < bindparam("below"),
            records.c.run_id.is_(None),
        )
        .order_by(table.c.run_id)
        .limit(bindparam("most"))
    )


def _remove_key(dialect: Dialect) -> ClauseElement:
    """The run must be the one that was found: the key may have been removed and used again."""
    keys = idempotency_keys.c
    return dialect.delete(
        idempotency_keys,
        {"of_workflow": keys.workflow, "of_key": keys.idempotency_key, "of_run": keys.run_id},
        lambda row, new: (
            row.workflow == new["of_workflow"],
            row.idempotency_key == new["of_key"],
            row.run_id == new["of_run"],
        ),
    )


def _remove_messages(dialect: Dialect) -> ClauseElement:
    return messages.delete().where(dialect.among(messages.c.id, "ids"))
