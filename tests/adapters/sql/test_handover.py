"""Which transactions go to a thread: those that would hold up the event loop by waiting."""

from dataclasses import dataclass

import pytest

from workflow_ray_adapters.sql.sqlite import handover as module
from workflow_ray_adapters.sql.sqlite.handover import HANDED_OVER, SLOW, Handover


@dataclass
class Transactions:
    """Transactions that the loop runs, each in a time that the test sets, in seconds."""

    handover: Handover
    clock: float = 0.0
    computed: float = 0.0

    def one(self, *, computes: float = 0.0, waits: float = 0.0) -> None:
        with self.handover.time():
            self.clock += computes + waits
            self.computed += computes


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> Transactions:
    transactions = Transactions(Handover())
    monkeypatch.setattr(module, "perf_counter", lambda: transactions.clock)
    monkeypatch.setattr(module, "thread_time", lambda: transactions.computed)
    return transactions


def test_the_loop_does_what_does_not_wait_however_long_it_computes(
    transactions: Transactions,
) -> None:
    for _ in range(3):
        transactions.one(computes=100 * SLOW)
    assert not transactions.handover.is_due()


def test_one_slow_transaction_is_an_accident(transactions: Transactions) -> None:
    transactions.one(waits=2 * SLOW)
    transactions.one(waits=SLOW / 2)
    transactions.one(waits=2 * SLOW)
    assert not transactions.handover.is_due()


def test_where_transactions_wait_the_thread_does_some_and_then_the_loop_tries_again(
    transactions: Transactions,
) -> None:
    transactions.one(waits=2 * SLOW)
    transactions.one(waits=2 * SLOW)
    assert [transactions.handover.is_due() for _ in range(HANDED_OVER + 1)] == [
        True
    ] * HANDED_OVER + [False]


def test_what_meets_a_lock_is_tried_again_by_the_thread(transactions: Transactions) -> None:
    transactions.handover.note_lock()
    assert [transactions.handover.is_due(), transactions.handover.is_due()] == [True, False]
