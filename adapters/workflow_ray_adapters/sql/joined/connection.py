"""The connection of an application's session, and a transaction of the store on it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ClauseElement, Connection, Executable

from workflow_ray.errors import InvalidInput
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.session import Session, Statement
from workflow_ray_adapters.sql.statement import Values

T = TypeVar("T")


async def run_on(session: object, work: Callable[[Connection], T]) -> T:
    """Run the work on the connection of a session or of a connection of SQLAlchemy. One that is not
    asyncio's blocks the event loop meanwhile. Raises InvalidInput: it is something else.
    """
    # loaded here, because every client can do this, and most never do
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session as OrmSession
    from sqlalchemy.orm import scoped_session

    if isinstance(session, async_scoped_session | scoped_session):
        session = cast(object, session())
    match session:
        case AsyncSession():
            return await (await session.connection()).run_sync(work)
        case AsyncConnection():
            return await session.run_sync(work)
        case OrmSession():
            return work(session.connection())
        case Connection():
            return work(session)
        case _:
            raise InvalidInput(
                "within",
                "give an AsyncSession or AsyncConnection of SQLAlchemy, or a Session or Connection,"
                f" not {type(session).__name__}",
            )


class Statements:
    """Statements for one kind of connection of the application. Each is built once.

    Args:
        dialect: Builds them. Its driver is the application's.
        schema: Where the tables are, as the connection names it. None: where it looks first.
    """

    def __init__(self, dialect: Dialect, schema: str | None) -> None:
        self.dialect = dialect
        self.options = {"schema_translate_map": {None: schema}}
        self._built = dict[Statement, tuple[ClauseElement, Collection[str]]]()

    def of(self, statement: Statement) -> tuple[Executable, Collection[str]]:
        """Return the statement, and the names of its parameters."""
        if (found := self._built.get(statement)) is None:
            built = statement(self.dialect)
            compiled = built.compile(dialect=self.dialect.driver)
            values: Mapping[str, object] = compiled.params or {}
            given = {name for name, value in values.items() if value is None}
            found = self._built[statement] = (built, given)
        return cast(Executable, found[0]), found[1]


class JoinedSession(Session):
    """As Session, on a connection of any driver of the database: SQLAlchemy executes the
    statements.
    """

    def __init__(self, connection: Connection, statements: Statements, time: int | None) -> None:
        """time: As `Session.time`."""
        super().__init__(connection, statements.dialect)
        self._statements = statements
        self.time = time

    def rows(self, statement: Statement, **values: object) -> list[Any]:
        return list(self._run(statement, values).all())

    def execute(self, statement: Statement, **values: object) -> None:
        self._run(statement, values).close()

    def run(self, statement: Statement, rows: Sequence[Values]) -> None:
        if rows:
            built, names = self._statements.of(statement)
            given = self.dialect.parameters(names, rows)
            self.connection.execute(built, given, execution_options=self._statements.options)

    def _run(self, statement: Statement, values: Mapping[str, object]) -> Any:
        built, _ = self._statements.of(statement)
        return self.connection.execute(
            built, self._bound(values), execution_options=self._statements.options
        )
