"""Notice what other processes have committed: by notifications where the database passes them on,
and by polls.
"""

import asyncio
import logging
from functools import partial

from workflow_ray.errors import StoreError
from workflow_ray_adapters.sql import changes
from workflow_ray_adapters.sql.database import Database
from workflow_ray_adapters.sql.pace import Pace
from workflow_ray_adapters.sql.wakeups import Wakeups

log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds before a store that did not answer is polled again."""


class Poller:
    """Wake those whom the commits of others concern. What a notification does not name is read
    once, for all who wait.
    """

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups
        self._pace = Pace(wakeups.is_anybody_waiting)

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except StoreError as error:
                log.info("%s; what other processes commit is noticed when it answers again", error)
                self._wakeups.forget()
                await asyncio.sleep(PAUSE)

    async def _follow(self) -> None:
        while True:
            notification = await self._database.notified(self._pace)
            woken = self._wakeups.notified(notification)
            if unnamed := notification.unnamed:
                self._wakeups.forget_before_look(unnamed)
                if wanted := self._wakeups.wanted(unnamed):
                    found, ends = await self._database.read(partial(changes.read, wanted=wanted))
                    woken |= self._wakeups.found(found, ends)
            if woken:
                self._pace.quicken()
