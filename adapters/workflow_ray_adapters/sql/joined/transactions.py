"""Transactions of the application that write into a store."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import ClassVar

from sqlalchemy import ClauseElement, Connection, select
from sqlalchemy import Dialect as Driver
from sqlalchemy.exc import DBAPIError, IntegrityError

from workflow_ray.errors import InvalidInput, StoreBusy
from workflow_ray.ports import Clock, StepTransaction
from workflow_ray.records import GroupResult, RunId, WriteGroup
from workflow_ray_adapters.sql import outbox, roles, writes
from workflow_ray_adapters.sql.counters import Counters
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.joined.connection import JoinedSession, Statements, run_on
from workflow_ray_adapters.sql.joined.per_connection import PerConnection
from workflow_ray_adapters.sql.session import Session, store_time
from workflow_ray_adapters.sql.tables import deployment

TRIES = 3
"""How often a write is tried that meets one which another transaction has just committed."""


class SqlTransactions(ABC):
    """Transactions of the application in the database of one store.

    The connection's own settings apply, such as its isolation level. Names are qualified by the
    schema, because the connection may look elsewhere first.

    Args:
        where: The store's name for people, without a password.
        clock: The store's clock.
        store_id: The id that it must have.
    """

    names: ClassVar[Sequence[str]]
    """The names of SQLAlchemy's dialects for this database."""

    def __init__(self, where: str, clock: Clock, store_id: str) -> None:
        self._where = where
        self._store_id = store_id
        self._clock = clock
        self._counters = PerConnection(lambda: Counters(folds=False))
        self._statements: tuple[Driver, str | None, Statements] | None = None

    async def store(self, session: object, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """See Transactions."""
        return await run_on(session, lambda connection: self._store(connection, groups))

    def _store(self, connection: Connection, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if connection.dialect.name not in self.names:
            raise self._elsewhere(f"it is in a database of {connection.dialect.name}")
        self._begin(connection)
        error: IntegrityError | None = None
        for _ in range(TRIES):
            try:
                with connection.begin_nested():
                    return self._write(connection, groups)
            except IntegrityError as caught:
                error = caught
        raise StoreBusy(
            self._where,
            "another transaction has begun a run with the same foreign id or idempotency key, and"
            " the session does not see it at its isolation level. Roll the transaction back and"
            " begin it again; at READ COMMITTED it is seen.",
        ) from error

    def _write(self, connection: Connection, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        statements = self._statements_for(connection, self._locate(connection))
        session = JoinedSession(connection, statements, store_time(self._clock))
        found = session.rows(_store_id)[0][0]
        if found != self._store_id:
            raise self._elsewhere(f"the store there has the id {found}, not {self._store_id}")
        return self._apply(session, groups, set())

    def _apply(
        self, session: Session, groups: Sequence[WriteGroup], late: set[RunId]
    ) -> list[GroupResult]:
        """Write the groups, and the notification of it. `late` is that of `writes.store`."""
        held = {group.fence.role for group in groups if group.fence is not None}
        epochs = roles.epochs(session, held)
        counters = self._counters.of(session.connection)
        applied = writes.store(session, groups, epochs, counters, late)
        outbox.add(session, applied.outgoing)
        self._notify(session)
        return applied.answers

    def _write_last(
        self, connection: Connection, dialect: Dialect, group: WriteGroup
    ) -> GroupResult:
        """Write the group as the last of a transaction of a step, on a connection of our own.

        It is tried again where another transaction was in the way, as the store's writer does it,
        unless the database has ended the whole transaction, as MariaDB does after a deadlock: the
        statements of the step are lost then.
        """
        late = set[RunId]()
        for _ in range(TRIES):
            savepoint = connection.begin_nested()
            try:
                answer = self._of_step(connection, dialect, group, late)
            except (DBAPIError, connection.dialect.loaded_dbapi.Error) as error:
                try:
                    savepoint.rollback()
                except DBAPIError:  # it went with the transaction
                    raise error from None
            else:
                savepoint.commit()
                return answer
        return self._of_step(connection, dialect, group, late)

    def _of_step(
        self, connection: Connection, dialect: Dialect, group: WriteGroup, late: set[RunId]
    ) -> GroupResult:
        session = Session(connection, dialect)
        session.time = store_time(self._clock)
        (answer,) = self._apply(session, [group], late)
        return answer

    def _statements_for(self, connection: Connection, schema: str | None) -> Statements:
        """Return the statements. Those of the last kind of connection are kept: mostly there is
        only one.
        """
        driver, kept = connection.dialect, self._statements
        if kept is not None and kept[0] is driver and kept[1] == schema:
            return kept[2]
        statements = Statements(self._dialect(driver), schema)
        self._statements = (driver, schema, statements)
        return statements

    def _elsewhere(self, why: str) -> InvalidInput:
        return InvalidInput(
            "within", f"the session is not in the database of the store {self._where}: {why}"
        )

    @property
    @abstractmethod
    def for_async(self) -> bool:
        """See Transactions."""

    @abstractmethod
    def begin(self) -> AbstractAsyncContextManager[StepTransaction]:
        """See Transactions."""

    @abstractmethod
    async def close(self) -> None:
        """See Transactions."""

    def _begin(self, connection: Connection) -> None:
        """Make sure that a savepoint will be a part of a transaction of the application. Raises
        InvalidInput.
        """
        driver = connection.connection.dbapi_connection
        # raised by SQLAlchemy for a driver whose setting it can't read: such a session is trusted
        with suppress(NotImplementedError):
            if driver is not None and connection.dialect.detect_autocommit_setting(driver):
                raise InvalidInput(
                    "within",
                    "each statement of the session is committed by itself; give one whose isolation"
                    " level is not AUTOCOMMIT",
                )

    @abstractmethod
    def _locate(self, connection: Connection) -> str | None:
        """Return where the tables are, as the connection names it. Raises InvalidInput."""

    @abstractmethod
    def _dialect(self, driver: Driver) -> Dialect: ...

    @abstractmethod
    def _notify(self, session: Session) -> None:
        """Have other processes notified by the session's commit, and by nothing else."""


def _store_id(_: Dialect) -> ClauseElement:
    return select(deployment.c.store_id)
