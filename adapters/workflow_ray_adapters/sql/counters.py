"""Count how many runs are in which state, and how often something has changed at a status that flow
control orders. The transactions that write runs count it. Each writer has its own counters, so that
none waits for another's; a read sums them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from uuid import uuid4

from sqlalchemy import ClauseElement, Table, bindparam, func, select

from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values
from workflow_ray_adapters.sql.tables import counters, parking_changes

CountKey: TypeAlias = tuple[str, int, int]
"""A workflow, a status and a run state."""
OfStatus: TypeAlias = tuple[str, int]
"""A workflow, and the number of one of its statuses."""
FOLDED = ""
"""The writer of the counters that hold the sums of processes that have ended."""
MOST = 1_000
"""The number of counters above which those of other processes are folded into sums."""


class Counted:
    """A table of counters. The columns of its primary key end with the writer."""

    def __init__(self, table: Table, count: str) -> None:
        self._key = [column.name for column in table.primary_key]
        self._table = table
        self._count = count

    def add(self, session: Session, writer: str, changed: Iterable[tuple[Any, int]]) -> None:
        session.run(
            self.increase,
            [
                dict(zip(self._key, (*key, writer), strict=True)) | {self._count: count}
                for key, count in changed
            ],
        )

    def fold(self, session: Session, writer: str) -> None:
        """Replace the counters of other processes by their sums, if there are many. Only what was
        read is deleted, because a process may begin to count meanwhile.
        """
        if session.rows(self.number)[0][0] <= MOST:
            return
        sums = Counter[Any]()
        read = list[Values]()
        for *key, counted in session.rows(self.others, writer=writer):
            sums[tuple(key[:-1])] += int(counted)
            read.append({f"of_{name}": value for name, value in zip(self._key, key, strict=True)})
        session.run(self.forget, read)
        self.add(session, FOLDED, sorted(sums.items()))

    def increase(self, dialect: Dialect) -> ClauseElement:
        count = self._count
        return dialect.upsert(self._table, lambda row, new: {count: row[count] + new[count]})

    def number(self, _: Dialect) -> ClauseElement:
        return select(func.count()).select_from(self._table)

    def others(self, dialect: Dialect) -> ClauseElement:
        """The rows are locked so that no process counts on while they are folded: it begins a new
        counter.
        """
        key = [self._table.c[name] for name in self._key]
        query = select(*key, self._table.c[self._count]).where(key[-1] != bindparam("writer"))
        return dialect.lock_rows(query.order_by(*key))

    def forget(self, dialect: Dialect) -> ClauseElement:
        return dialect.delete(
            self._table,
            {f"of_{name}": self._table.c[name] for name in self._key},
            lambda row, new: [row[name] == new[f"of_{name}"] for name in self._key],
        )


RUNS = Counted(counters, "runs")
CHANGES = Counted(parking_changes, "changes")


class Counters:
    """The counters of one writer.

    Args:
        folds: Whether it may fold the counters of others, which locks them.
    """

    def __init__(self, *, folds: bool = True) -> None:
        self._writer = str(uuid4())
        # once is enough: the other processes that are left are alive
        self._to_fold = {RUNS, CHANGES} if folds else set[Counted]()

    def add(
        self,
        session: Session,
        counts: Mapping[CountKey, int],
        changes: Mapping[OfStatus, int],
    ) -> None:
        """Count.

        Args:
            session: The transaction.
            counts: How many more, or fewer, runs are in each state.
            changes: How often something has changed at each status that flow control orders.
        """
        self._add(session, RUNS, counts)
        if changes:
            self._add(session, CHANGES, changes)

    def _add(self, session: Session, counted: Counted, counts: Mapping[Any, int]) -> None:
        changed = sorted((key, count) for key, count in counts.items() if count)
        counted.add(session, self._writer, changed)
        if changed and counted in self._to_fold:
            self._to_fold.remove(counted)
            counted.fold(session, self._writer)
