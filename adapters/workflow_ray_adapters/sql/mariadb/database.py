"""A MariaDB database at work: other processes' commits are counted, and looked for."""

from collections.abc import Callable
from uuid import uuid4

from sqlalchemy import func, select

from workflow_ray_adapters.sql.mariadb import commits
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.server.database import Access, ServerDatabase
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.wakeups import polled


class MariadbDatabase(ServerDatabase):
    """sql.database.Database."""

    def __init__(self, access: Access, lock_name: str, *, exclusive: bool) -> None:
        super().__init__(access)
        self._lock_name, self._exclusive = lock_name, exclusive
        self._me = str(uuid4())
        self._commits = 0  # of others, when they were looked at last

    async def word(self, wanted: Callable[[], bool]) -> Notification | None:
        await polled(self._changed_elsewhere, wanted)
        return None

    async def served_elsewhere(self) -> bool:
        return not self._exclusive and await self.read(self._is_served)

    async def _changed_elsewhere(self) -> bool:
        seen, self._commits = self._commits, await self.read(lambda session: commits.of_others(session, self._me))
        return seen != self._commits

    def _is_served(self, session: Session) -> bool:
        return session.connection.scalar(select(func.is_used_lock(self._lock_name))) is not None

    def _tell(self, session: Session) -> None:
        if session.notification:
            commits.count(session, self._me)
