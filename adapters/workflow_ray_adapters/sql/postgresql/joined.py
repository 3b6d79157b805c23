"""Transactions of an application in the database of a store."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar
from uuid import uuid4

from sqlalchemy import Connection, func, select, text, true
from sqlalchemy import Dialect as Driver

from workflow_ray.ports import Clock
from workflow_ray.records import GroupResult, WriteGroup
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.postgresql.channel import channel_of, encode
from workflow_ray_adapters.sql.postgresql.connections import is_broken, steps_engine
from workflow_ray_adapters.sql.postgresql.dialect import POSTGRESQL, Postgresql
from workflow_ray_adapters.sql.postgresql.url import Target
from workflow_ray_adapters.sql.schema import VERSION_TABLE
from workflow_ray_adapters.sql.server.transactions import ServerTransactions
from workflow_ray_adapters.sql.session import Session

_place = text(
    "SELECT current_database(), (SELECT nspname FROM pg_catalog.pg_class"
    " JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE pg_class.oid = to_regclass(:name))"
)


class PostgresqlTransactions(ServerTransactions):
    """Transactions in the database of a store on PostgreSQL."""

    names: ClassVar[Sequence[str]] = ("postgresql",)

    def __init__(self, target: Target, clock: Clock, store_id: str) -> None:
        engine = partial(steps_engine, target)
        super().__init__(target.canonical, clock, store_id, engine, is_broken)
        self._target = target
        self._channel = channel_of(store_id)
        self._me = uuid4().hex

    def _write_of_step(self, connection: Connection, group: WriteGroup) -> GroupResult:
        """Look in the schema of the store from now on: until now the step's names were looked up
        as they are for any other program.
        """
        if self._target.schema is not None:
            path = func.set_config("search_path", f'"{self._target.schema}"', true())
            connection.execute(select(path))
        return self._write_last(connection, POSTGRESQL, group)

    def _locate(self, connection: Connection) -> str:
        schema = self._target.schema
        table = VERSION_TABLE if schema is None else f'"{schema}".{VERSION_TABLE}'
        database, found = connection.execute(_place, {"name": table}).one()
        if database != self._target.database:
            raise self._elsewhere(f"it is in the database {database}")
        if found is None:
            raise self._elsewhere(
                "it does not find its tables. Give the store a schema in its URL, ?schema=NAME"
                if schema is None
                else f"the schema {schema} holds no store"
            )
        return str(found)

    def _dialect(self, driver: Driver) -> Dialect:
        return Postgresql(driver, row_locks=False)  # only new runs are written

    def _notify(self, session: Session) -> None:
        """Send the notification with the commit, unlike the store's own transactions do: nobody is
        sure to be here to send it afterwards.
        """
        if session.notification:
            payload = encode(self._me, session.notification)
            session.connection.execute(select(func.pg_notify(self._channel, payload)))
