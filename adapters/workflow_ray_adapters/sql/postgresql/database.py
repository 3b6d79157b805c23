"""A PostgreSQL database at work: commits tell other processes what they have changed."""

from collections.abc import Callable

from sqlalchemy import ClauseElement, String, bindparam, func, select

from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.postgresql.watch import LOCK, Watch
from workflow_ray_adapters.sql.server.database import Access, ServerDatabase
from workflow_ray_adapters.sql.session import Session


class PostgresqlDatabase(ServerDatabase):
    """sql.database.Database. Word of others comes by LISTEN and NOTIFY, and beneath that by looking now and then."""

    def __init__(self, access: Access, watch: Watch, *, exclusive: bool) -> None:
        super().__init__(access)
        self._watch, self._exclusive = watch, exclusive

    async def word(self, wanted: Callable[[], bool]) -> Notification | None:
        return await self._watch.word()

    async def served_elsewhere(self) -> bool:
        return not self._exclusive and await self.read(_is_served)

    def _tell(self, session: Session) -> None:
        if session.notification:
            session.execute(_notify, channel=self._watch.channel, word=self._watch.telling(session.notification))


def _is_served(session: Session) -> bool:
    """The lock is free again when the transaction ends."""
    return not session.connection.scalar(select(func.pg_try_advisory_xact_lock_shared(*LOCK)))


def _notify(_: Dialect) -> ClauseElement:
    return select(func.pg_notify(bindparam("channel", type_=String), bindparam("word", type_=String)))
