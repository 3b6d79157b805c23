"""A PostgreSQL database at work. Processes notify each other of what they have committed."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import func, select

from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.postgresql.watch import LOCK, Watch
from workflow_ray_adapters.sql.server.database import Access, ServerDatabase
from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")


class PostgresqlDatabase(ServerDatabase):
    """A Database on PostgreSQL. LISTEN and NOTIFY pass on the commits of others, and a slow poll
    lies beneath them.
    """

    def __init__(self, access: Access, watch: Watch, *, exclusive: bool) -> None:
        super().__init__(access)
        self._watch = watch
        self._exclusive = exclusive

    async def write(self, work: Callable[[Session], T]) -> T:
        notifications = list[Notification]()

        def noted(session: Session) -> T:
            notifications.append(session.notification)
            return work(session)

        result = await super().write(noted)
        self._watch.tell(notifications[0])
        return result

    async def notified(self, pace: Pace) -> Notification:
        return await self._watch.notified()

    async def is_served(self) -> bool:
        return self._exclusive or await self.read(_is_served)


def _is_served(session: Session) -> bool:
    """Return whether another process holds the lock. Ours is released when the transaction ends."""
    return not session.connection.scalar(select(func.pg_try_advisory_xact_lock_shared(*LOCK)))
