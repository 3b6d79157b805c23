"""A table with the encrypted keys of runs, in a database of its own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.mysql import VARCHAR
from sqlalchemy.schema import CreateTable

from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import RunId
from workflow_ray_adapters.sql.columns import BYTES
from workflow_ray_adapters.sql.database import Aborted

T = TypeVar("T")

AT_ONCE = 500
"""Runs of one statement."""
TRIES = 5
"""How often a call is tried that another transaction was in the way of."""

RUN_ID = (
    String(36)
    .with_variant(String(36, collation="C"), "postgresql")
    # one type for both servers: which one it is, is not known before the table is made
    .with_variant(VARCHAR(36, charset="ascii", collation="ascii_bin"), "mariadb", "mysql")
)
"""Run ids are ASCII, and sort as they do in Python."""

metadata = MetaData()
run_keys = Table(
    "workflow_ray_run_keys",
    metadata,
    Column("run_id", RUN_ID, primary_key=True),
    Column("sealed", BYTES, nullable=False),  # the key of the run, encrypted
)


class Runner(Protocol):
    """Runs work in transactions of a database, from any thread and event loop."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do the work in a transaction, and commit it. It must be repeatable."""
        ...


class SqlRunKeys:
    """A RunKeys. It makes its table at its first call.

    Args:
        where: The canonical URL, without secrets.
        runner: Runs its transactions.
        translate_errors: Raises the ports' errors in place of the driver's.
    """

    def __init__(
        self,
        where: str,
        runner: Runner,
        translate_errors: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._where = where
        self._runner = runner
        self._translate_errors = translate_errors
        self._is_made = False

    async def add(self, keys: Mapping[RunId, bytes]) -> dict[RunId, bytes]:
        """See RunKeys."""

        def work(connection: Connection) -> dict[RunId, bytes]:
            rows = [{"run_id": run_id, "sealed": keys[run_id]} for run_id in sorted(keys)]
            connection.execute(_insert_new(connection), rows)
            return _read(connection, list(keys))

        return await self._run(work) if keys else {}

    async def get(self, run_ids: Sequence[RunId]) -> dict[RunId, bytes]:
        """See RunKeys."""
        return await self._run(lambda connection: _read(connection, run_ids))

    async def replace(self, keys: Mapping[RunId, tuple[bytes, bytes]]) -> None:
        """See RunKeys."""

        def work(connection: Connection) -> None:
            for run_id in sorted(keys):
                old, new = keys[run_id]
                same = (run_keys.c.run_id == run_id) & (run_keys.c.sealed == old)
                connection.execute(update(run_keys).where(same).values(sealed=new))

        await self._run(work)

    async def delete(self, run_ids: Sequence[RunId]) -> None:
        """See RunKeys."""

        def work(connection: Connection) -> None:
            for some in _parts(sorted(run_ids)):
                connection.execute(delete(run_keys).where(run_keys.c.run_id.in_(some)))

        await self._run(work)

    async def page(self, *, after: RunId | None, limit: int) -> dict[RunId, bytes]:
        """See RunKeys."""
        query = select(run_keys).order_by(run_keys.c.run_id).limit(limit)
        if after is not None:
            query = query.where(run_keys.c.run_id > after)
        return await self._run(lambda connection: _found(connection.execute(query)))

    async def _run(self, work: Callable[[Connection], T]) -> T:
        def made(connection: Connection) -> T:
            if not self._is_made:
                connection.execute(CreateTable(run_keys, if_not_exists=True))
            return work(connection)

        for _ in range(TRIES):
            try:
                with self._translate_errors(self._where):
                    answer = await self._runner.run(made)
            except Aborted:
                continue
            self._is_made = True
            return answer
        raise StoreUnavailable(self._where, "other transactions are in the way; try again")


def _insert_new(connection: Connection) -> Any:
    """Build an insert that leaves out the rows that exist."""
    match connection.dialect.name:
        case "sqlite":
            return sqlite.insert(run_keys).on_conflict_do_nothing()
        case "postgresql":
            return postgresql.insert(run_keys).on_conflict_do_nothing()
        case _:
            return insert(run_keys).prefix_with("IGNORE")


def _read(connection: Connection, run_ids: Sequence[RunId]) -> dict[RunId, bytes]:
    found: dict[RunId, bytes] = {}
    for some in _parts(run_ids):
        found |= _found(connection.execute(select(run_keys).where(run_keys.c.run_id.in_(some))))
    return found


def _found(rows: Any) -> dict[RunId, bytes]:
    return {RunId(run_id): bytes(sealed) for run_id, sealed in rows}


def _parts(run_ids: Sequence[RunId]) -> list[Sequence[RunId]]:
    return [run_ids[start : start + AT_ONCE] for start in range(0, len(run_ids), AT_ONCE)]
