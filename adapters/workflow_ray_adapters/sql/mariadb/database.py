"""A MariaDB database at work. A table says what other processes have committed; it is polled."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import func, select

from workflow_ray_adapters.sql.mariadb.commits import Commits
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.server.database import Access, ServerDatabase
from workflow_ray_adapters.sql.session import Session

T = TypeVar("T")


class MariadbDatabase(ServerDatabase):
    """A Database on MariaDB."""

    def __init__(self, access: Access, lock_name: str, *, exclusive: bool) -> None:
        super().__init__(access)
        self._lock_name = lock_name
        self._exclusive = exclusive
        self._commits = Commits()

    async def write(self, work: Callable[[Session], T]) -> T:
        def noted(session: Session) -> T:
            result = work(session)
            if session.notification:
                self._commits.note(session)
            return result

        return await super().write(noted)

    async def notified(self, pace: Pace) -> Notification:
        while True:
            await pace.rest()
            if notification := await self.read(self._commits.read_new):
                return notification

    async def is_served(self) -> bool:
        return self._exclusive or await self.read(self._is_served)

    def _is_served(self, session: Session) -> bool:
        return session.connection.scalar(select(func.is_used_lock(self._lock_name))) is not None
