"""The inboxes of runs, as a consumer reads them: the next message of each run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class NextMessages:
    """The next messages of runs. A run that is in neither has none."""

    found: Mapping[RunId, Message] = field(default_factory=dict[RunId, Message])
    unread: frozenset[RunId] = frozenset()  # runs to ask for again, because the others were large


NOTHING = NextMessages()


class Inboxes:
    """Reads messages of many runs by one call."""

    def __init__(self, role: RoleName, records: RecordStore, clock: Clock) -> None:
        self._role = role
        self._records = records
        self._clock = clock

    async def next_of(self, records: Sequence[Record]) -> NextMessages:
        """Read the oldest message of each run that its status accepts and that is due.

        Not much more than BATCH_DATA bytes are read. The first run is never left unread.
        """
        found: dict[RunId, Message] = {}
        wanted: dict[RunId, Record] = {record.run_id: record for record in records}
        # one more than there should be, so that a full page shows that others are left
        limit = min(LIMIT, sum(min(record.messages, FIRST) for record in records) + 1)
        while wanted and _size(found.values()) <= BATCH_DATA:
            messages = await self._read(list(wanted), limit)
            for message in messages:
                record = wanted.get(message.run_id)
                if record is not None and is_accepted(message, record):
                    found.setdefault(message.run_id, message)
            rest = {run_id: record for run_id, record in wanted.items() if run_id not in found}
            cut_off = _size(messages) > BATCH_DATA
            if cut_off and len(rest) == len(wanted):
                hidden = await self._next_behind_large(wanted, limit)
                found |= hidden.found
                wanted = {run_id: wanted[run_id] for run_id in hidden.unread}
                break
            wanted = rest if cut_off or len(messages) == limit else {}
            limit *= 10
        if wanted and records[0].run_id in wanted:
            found |= (await self.next_of(records[:1])).found
            del wanted[records[0].run_id]
        return NextMessages(found, frozenset(wanted))

    async def _next_behind_large(self, wanted: Mapping[RunId, Record], limit: int) -> NextMessages:
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
        if not keys:
            return NOTHING
        query = MessageQuery(keys=tuple(keys.values()))
        messages = await persist(partial(self._records.messages, query), self._clock, self._role)
        read = {message.run_id for message in messages}
        # those that the answer leaves out were deleted meanwhile, unless it was cut off
        unread = keys.keys() - read if _size(messages) > BATCH_DATA else ()
        found = {message.run_id: message for message in messages if message.outcome is None}
        return NextMessages(found, frozenset(unread))

    async def _read(
        self, run_ids: Sequence[RunId], limit: int, *, payloads: bool = True
    ) -> list[Message]:
        query = MessageQuery(run_ids=tuple(run_ids), due=True, payloads=payloads, limit=limit)
        return await persist(lambda: self._records.messages(query), self._clock, self._role)


def _size(messages: Iterable[Message]) -> int:
    return sum(len(message.payload) for message in messages)
