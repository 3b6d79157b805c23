"""Commits the writes of clients. A client that a role hands to a handler writes under its fence."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from workflow_ray.client.patience import BY
from workflow_ray.errors import InvalidInput, RoleLost
from workflow_ray.ports import RecordStore, Transactions
from workflow_ray.records import MAX_FOREIGN_ID, Committed, Fence, Fenced, GroupResult, WriteGroup

DefaultKey: TypeAlias = Callable[[str, str | None], str]
"""Makes the idempotency key of a call that names none. It takes the foreign id, or the run id where
the caller has a handle, and the name of the callback; None: it is a trigger.
"""


@dataclass(frozen=True, slots=True)
class Writer:
    """Commits groups of writes and messages."""

    records: RecordStore
    by: str = BY  # who writes, for the history
    fence: Fence | None = None  # of the role that the client writes for
    default_key: DefaultKey | None = None
    # None: the store can't be written to in transactions of the application, or not from here
    transactions: Transactions | None = None

    async def commit(self, group: WriteGroup, within: object = None) -> Committed:
        """Commit a group.

        Args:
            group: The group.
            within: The session whose transaction it is written in. None: one of its own.

        Raises:
            RoleLost: The role has a newer holder, and nothing was written.
            InvalidInput: `within` can't be used. Nothing was written.
        """
        if self.fence is not None:
            group = msgspec.structs.replace(group, fence=self.fence)
        store = self.records.store if within is None else self._store_within(within)
        (answer,) = await store([group])
        if isinstance(answer, Fenced):
            assert self.fence is not None, "a group without a fence can't be fenced off"
            raise RoleLost(answer.role, self.fence.epoch, answer.current)
        return answer

    def _store_within(
        self, session: object
    ) -> Callable[[Sequence[WriteGroup]], Awaitable[list[GroupResult]]]:
        if self.transactions is None:
            raise InvalidInput(
                "within",
                "this client can't write in a transaction of yours. Use a client of `connect` or of"
                " a runtime, with records on PostgreSQL, MariaDB or SQLite",
            )
        return partial(self.transactions.store, session)

    def key(self, given: str | None, target: str, function: str | None = None) -> str | None:
        """Return the key that the caller gave, or else the default one. None: there is none.

        Args:
            given: The caller's key.
            target: The foreign id, or the run id.
            function: The callback's name. None: it is a trigger.
        """
        if given is not None or self.default_key is None:
            return given
        return self.default_key(target, function)


@dataclass(frozen=True, slots=True)
class EventKeys:
    """Makes the default keys of one event of a connector, so that an event that is handled again
    repeats its calls and starts nothing twice.
    """

    connector: str
    event_id: str

    def __call__(self, target: str, function: str | None) -> str:
        parts = [self.event_id, target, *([] if function is None else [function])]
        key = ":".join([self.connector, *parts])
        if len(key) <= MAX_FOREIGN_ID:
            return key
        return f"{self.connector}:{blake2b(':'.join(parts).encode(), digest_size=32).hexdigest()}"
