"""Writes in transactions of the application, for stores whose database it uses too."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from workflow_ray.records import GroupResult, WriteGroup


class StepTransaction(Protocol):
    """A transaction that a step writes in."""

    @property
    def session(self) -> object:
        """The session that the step is given."""
        ...

    async def commit(self, group: WriteGroup) -> GroupResult:
        """Write a group of one write as the last of the transaction, and commit.

        Atomic: if the write or the group is left out, the transaction is rolled back.
        Ordered: fences are locked after the step's own statements, then records.

        Raises:
            InvalidInput: The step has ended the transaction itself. Nothing was written.
            WriteRejected: The store can't hold the write. Nothing was written.
            Exception: What the database raises. It is not known whether the transaction was
                committed.
        """
        ...


class Transactions(Protocol):
    """Writes into a record store in transactions that the application begins and ends.

    `store` belongs to no event loop: each call uses the connection of the session that is given, in
    the loop of the caller. The connections of `begin` belong to the loop that calls it.
    """

    @property
    def for_async(self) -> bool:
        """Whether the sessions of `begin` are for async functions. False: for plain ones."""
        ...

    def begin(self) -> AbstractAsyncContextManager[StepTransaction]:
        """Begin a transaction in the store's database, at READ COMMITTED or stricter. It is rolled
        back at the end of the block, unless it was committed.
        """
        ...

    async def close(self) -> None:
        """Close the connections that `begin` has opened."""
        ...

    async def store(self, session: object, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """Write groups of writes in the session's transaction.

        Atomic: what is written is committed with the transaction, or not at all. What is left out,
            and an error, leave the transaction as it was before the call.
        Ordered: as RecordStore.store.
        Idempotent: as RecordStore.store.

        Nothing is published in the transaction: events go into the outbox. Other processes are
        notified once it is committed.

        Args:
            session: An open session or connection.
            groups: As RecordStore.store takes them, without positions.

        Returns:
            One answer for each group, as RecordStore.store gives them.

        Raises:
            InvalidInput: The session is of another kind, or in another database than the store, or
                each of its statements is committed by itself. Nothing was written.
            StoreBusy: Another transaction was in the way, and this one does not see what that has
                committed. Roll back, and begin again.
            Exception: What the session's connection raises. The transaction may be lost then.
        """
        ...
