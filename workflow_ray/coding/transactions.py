"""Transactions of the application around a store with codecs."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from workflow_ray.coding.chains import Chains, chains_of
from workflow_ray.coding.store import decoded, encoded
from workflow_ray.definition import Workflow
from workflow_ray.ports import StepTransaction, Transactions
from workflow_ray.records import GroupResult, WriteGroup, check_group


def coded_transactions(transactions: Transactions, own: Workflow[Any, Any]) -> Transactions:
    """Return the transactions for the code of a workflow. Without a codec they are the given ones.

    Args:
        transactions: Those of the store.
        own: The workflow whose runs are written.
    """
    chains = chains_of(own)
    if chains is None or isinstance(transactions, CodingTransactions):
        return transactions
    return CodingTransactions(transactions, chains)


class CodingTransactions:
    """See `coded_transactions`."""

    def __init__(self, transactions: Transactions, chains: Chains) -> None:
        self._transactions = transactions
        self._chains = chains

    @property
    def for_async(self) -> bool:
        """See Transactions."""
        return self._transactions.for_async

    def begin(self) -> AbstractAsyncContextManager[StepTransaction]:
        """See Transactions."""
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncGenerator[StepTransaction]:
        async with self._transactions.begin() as transaction:
            yield _CodingTransaction(transaction, self._chains)

    async def close(self) -> None:
        """See Transactions."""
        await self._transactions.close()

    async def store(self, session: object, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        """See Transactions."""
        written = await _encoded(self._chains, groups)
        answers = await self._transactions.store(session, written)
        return await decoded(self._chains, groups, answers)


class _CodingTransaction:
    def __init__(self, transaction: StepTransaction, chains: Chains) -> None:
        self._transaction = transaction
        self._chains = chains

    @property
    def session(self) -> object:
        return self._transaction.session

    async def commit(self, group: WriteGroup) -> GroupResult:
        (written,) = await _encoded(self._chains, [group])
        answer = await self._transaction.commit(written)
        return (await decoded(self._chains, [group], [answer]))[0]


async def _encoded(chains: Chains, groups: Sequence[WriteGroup]) -> list[WriteGroup]:
    for group in groups:
        check_group(group)
    return await encoded(chains, groups)
