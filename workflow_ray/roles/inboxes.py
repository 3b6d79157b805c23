"""The inboxes of runs, as a consumer reads them: the next message of each run."""

from collections.abc import Mapping, Sequence
from functools import partial

from workflow_ray.engine.events import is_accepted
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    BATCH_DATA,
    Message,
    MessageKey,
    MessageQuery,
    Record,
    RoleName,
    RunId,
)

LIMIT = 1000
"""The messages that are read at once. If they hide one that is accepted, more are read."""
FIRST = 10
"""The messages of a run that are read at first: mostly its oldest is the next."""


class Inboxes:
    """Reads messages of many runs by one call."""

    def __init__(self, role: RoleName, records: RecordStore, clock: Clock) -> None:
        self._role = role
        self._records = records
        self._clock = clock

    async def next_of(self, records: Sequence[Record]) -> dict[RunId, Message]:
        """Read the oldest message of each run that its status accepts and that is due.

        Runs without such a message are left out.
        """
        found: dict[RunId, Message] = {}
        wanted: dict[RunId, Record] = {record.run_id: record for record in records}
        # one more than there should be, so that a full page shows that others are left
        limit = min(LIMIT, sum(min(record.messages, FIRST) for record in records) + 1)
        while wanted:
            messages = await self._read(list(wanted), limit)
            for message in messages:
                record = wanted.get(message.run_id)
                if record is not None and is_accepted(message, record):
                    found.setdefault(message.run_id, message)
            rest: dict[RunId, Record] = {
                run_id: record for run_id, record in wanted.items() if run_id not in found
            }
            cut_off = sum(len(message.payload) for message in messages) > BATCH_DATA
            if cut_off and len(rest) == len(wanted):
                return found | await self._next_behind_large(wanted, limit)
            if not (len(messages) == limit or cut_off):
                break
            wanted = rest
            limit *= 10
        return found

    async def _next_behind_large(
        self, wanted: Mapping[RunId, Record], limit: int
    ) -> dict[RunId, Message]:
        """Read the messages that large ones have hidden, which the runs keep for later: first
        without the payloads, then those that are accepted.
        """
        keys: dict[RunId, MessageKey] = {}
        is_full = True
        while is_full and len(keys) < len(wanted):
            envelopes = await self._read(list(wanted), limit, payloads=False)
            for message in envelopes:
                if is_accepted(message, wanted[message.run_id]):
                    keys.setdefault(message.run_id, message.key)
            is_full = len(envelopes) == limit
            limit *= 10
        found: dict[RunId, Message] = {}
        while left := [key for run_id, key in keys.items() if run_id not in found]:
            query = MessageQuery(keys=tuple(left))
            messages = await persist(
                partial(self._records.messages, query), self._clock, self._role
            )
            found |= {message.run_id: message for message in messages}
            if not messages:  # they were deleted meanwhile
                break
        return {run_id: message for run_id, message in found.items() if message.outcome is None}

    async def _read(
        self, run_ids: Sequence[RunId], limit: int, *, payloads: bool = True
    ) -> list[Message]:
        query = MessageQuery(run_ids=tuple(run_ids), due=True, payloads=payloads, limit=limit)
        return await persist(lambda: self._records.messages(query), self._clock, self._role)
