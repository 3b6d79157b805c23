"""Transactions of an application on the server of a store."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from sqlalchemy import Connection, text
from sqlalchemy import Dialect as Driver

from workflow_ray.ports import Clock
from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.joined.per_connection import PerConnection
from workflow_ray_adapters.sql.mariadb.commits import Commits
from workflow_ray_adapters.sql.mariadb.connections import is_broken, steps_engine
from workflow_ray_adapters.sql.mariadb.dialect import MARIADB, Mariadb
from workflow_ray_adapters.sql.mariadb.url import Target
from workflow_ray_adapters.sql.schema import VERSION_TABLE
from workflow_ray_adapters.sql.server.transactions import ServerTransactions
from workflow_ray_adapters.sql.session import Session

_place = text(
    "SELECT table_schema FROM information_schema.tables"
    " WHERE table_schema = :database AND table_name = :name"
)


class MariadbTransactions(ServerTransactions):
    """Transactions on the server of a store on MariaDB. The application's tables may be in another
    database: a transaction spans all of them.
    """

    names: ClassVar[Sequence[str]] = ("mysql", "mariadb")

    def __init__(self, target: Target, clock: Clock, store_id: str) -> None:
        engine = partial(steps_engine, target)
        super().__init__(target.canonical, clock, store_id, engine, is_broken)
        self._database = target.database
        self._commits = PerConnection(Commits)

    def _write_of_step(self, connection: Connection, group: WriteGroup) -> GroupResult:
        return self._write_last(connection, MARIADB, group)

    def _locate(self, connection: Connection) -> str:
        asked = {"database": self._database, "name": VERSION_TABLE}
        if connection.scalar(_place, asked) is None:
            raise self._elsewhere(f"its user finds no store in the database {self._database} there")
        return self._database

    def _dialect(self, driver: Driver) -> Dialect:
        # Only new runs are written, so no row needs a lock. At REPEATABLE READ, the database's
        # default, a locking read that finds nothing would lock the gap in which all new runs begin.
        return Mariadb(driver, row_locks=False)

    def _notify(self, session: Session) -> None:
        if session.notification:
            self._commits.of(session.connection).note(session)
