"""The role that turns the due timeouts of one status into messages. It runs no code of users."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from workflow_ray.ports import Clock, RecordStore, TimeoutStore, persist
from workflow_ray.records import (
    Fence,
    MessageId,
    MessageKey,
    MessageKind,
    NewMessage,
    Role,
    Timeout,
    WriteGroup,
)
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

BATCH = 500
"""The most timeouts that are posted at once."""
CHECK = 60.0
"""The seconds without a due timeout after which the role checks its fence."""


@dataclass(frozen=True)
class TimeoutWork:
    """The work of a timeout consumer."""

    role: Role
    workflow: str
    status: int  # the stored number
    partitions: int  # of the workflow


class TimeoutConsumer:
    """Posts each due timeout to its run, then completes it.

    The key of the message is made of run, visit and name, so that a timeout that is posted again,
    by this holder or the next one, changes nothing. A run that has left the visit does not accept
    it.
    """

    def __init__(
        self,
        work: TimeoutWork,
        fence: Fence,
        records: RecordStore,
        timeouts: TimeoutStore,
        clock: Clock,
    ) -> None:
        self._work = work
        self._fence = fence
        self._records = records
        self._timeouts = timeouts
        self._clock = clock
        self._partitions = work.role.owned(work.partitions)
        self._checked_at = clock.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Post timeouts until `stop`. Raises RoleLost.

        If it is cancelled, the next holder posts the rest.
        """
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                due = await until_stopped.wait(
                    lambda: persist(self._due, self._clock, self._fence.role)
                )
                if due or self._clock.monotonic() - self._checked_at >= CHECK:
                    await self._post(due or [])

    async def _due(self) -> list[Timeout]:
        return await self._timeouts.due(
            self._work.workflow,
            self._work.status,
            self._partitions,
            limit=BATCH,
            wait=LONG_POLL,
        )

    async def _post(self, due: Sequence[Timeout]) -> None:
        group = WriteGroup(messages=tuple(map(self._message, due)), fence=self._fence)
        await store_fenced(self._records, group, self._clock)
        self._checked_at = self._clock.monotonic()
        if due:
            keys = [timeout.key for timeout in due]
            await persist(lambda: self._timeouts.complete(keys), self._clock, self._fence.role)

    def _message(self, timeout: Timeout) -> NewMessage:
        key = timeout.key
        return NewMessage(
            key=MessageKey(
                timeout.workflow,
                MessageKind.TIMEOUT,
                MessageId(f"{key.run_id}:{key.visit}:{key.name}"),
            ),
            run_id=key.run_id,
            name=key.name,
            statuses=(timeout.status,),
            visit=key.visit,
            by=self._fence.role,
        )
