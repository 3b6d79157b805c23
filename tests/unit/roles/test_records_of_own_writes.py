"""A role reads a run while it writes the run's next version itself: the step of the run is not lost
by that, and no function is called for what the run was before.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.roles.messaging import (
    RETRY,
    Deal,
    DealRun,
    Deals,
    Payment,
    deals,
    pay,
    record_of,
)
from workflow_ray import Stay
from workflow_ray.records import Arrivals, Awaits, Message, MessageQuery, Record, RunId

AGAIN, FIRST, SECOND, BROKEN, BROKEN_TOO = range(1, 6)
"""Payments: the first lets the run enter its status again, the next two let it stay."""


class Case:
    """OPEN has a step that ends the run in its second visit, and a callback that waits for its
    gate.
    """

    def __init__(self) -> None:
        self.calls = list[str]()
        self.gates = {amount: asyncio.Event() for amount in range(1, 6)}
        self.workflow: Deals = deals(partitions=1)

        @self.workflow.step(Deal.OPEN)
        async def work(run: DealRun) -> Literal[Deal.LOST] | Stay:
            self.calls.append(f"step {run.version}")
            return Stay() if run.visit == 1 else Deal.LOST

        @self.workflow.callback(Deal.OPEN, retry=RETRY)
        async def paid(run: DealRun, message: Payment) -> Literal[Deal.OPEN] | Stay:
            self.calls.append(f"paid {message.amount}")
            await self.gates[message.amount].wait()
            if message.amount >= BROKEN:
                raise ValueError("no money")
            return Deal.OPEN if message.amount == AGAIN else Stay()


class Held:
    """Calls of a store's method whose beginnings and answers wait for the test."""

    def __init__(self, method: Any) -> None:
        self._method = method
        self.beginnings, self.answers = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        await self.beginnings.acquire()
        answer = await self._method(*args, **kwargs)
        await self.answers.acquire()
        return answer

    def let_all(self) -> None:
        for _ in range(1000):
            self.beginnings.release()
            self.answers.release()


async def test_a_record_that_came_with_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    async with Bench(case.workflow) as bench:
        received = bench.store.receive

        async def receive_one(
            topic: Any, offsets: Mapping[int, int], *, reader: str, **rest: Any
        ) -> Arrivals:
            return await received(topic, offsets, reader=reader, limit=1, wait=0.0)

        held = Held(receive_one)
        monkeypatch.setattr(bench.store, "receive", held)
        await bench.publisher()
        await bench.consumer(Deal.OPEN)

        async def receive_next() -> None:
            held.beginnings.release()
            held.answers.release()
            await bench.pass_time()

        run_id = (await triggered(bench, case.workflow, "1"))["1"].run_id
        await bench.pass_time()
        await receive_next()
        await pay(bench, run_id, AGAIN)
        await bench.pass_time()
        await receive_next()
        await pay(bench, run_id, FIRST)
        case.gates[AGAIN].set()
        await bench.pass_time()
        await receive_next()  # the event of the payment, which came before that of the second visit
        assert case.calls == ["step 1", "paid 1", "paid 2"]
        held.beginnings.release()
        await bench.pass_time()
        case.gates[FIRST].set()
        await bench.pass_time()
        held.let_all()
        await bench.pass_time()
        assert case.calls == ["step 1", "paid 1", "paid 2", "step 4"]


async def test_a_record_that_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    async with Bench(case.workflow) as bench:
        looked_up = bench.store.lookup
        held = Held(looked_up)

        async def look_up(run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
            answer = await (held if fresh else looked_up)(run_ids, fresh=fresh)
            return list(answer)

        monkeypatch.setattr(bench.store, "lookup", look_up)
        await bench.publisher()
        run_id = (await triggered(bench, case.workflow, "1"))["1"].run_id
        await pay(bench, run_id, FIRST)
        await pay(bench, run_id, SECOND)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        case.gates[FIRST].set()
        await bench.pass_time()
        assert case.calls == ["paid 2", "paid 3"]  # the look for the step has not begun
        held.beginnings.release()
        await bench.pass_time()
        case.gates[SECOND].set()
        await bench.pass_time()
        held.let_all()
        await bench.pass_time()
        assert case.calls == ["paid 2", "paid 3", "step 3"]
        assert (await record_of(bench, run_id)).awaits is Awaits.MESSAGE


async def test_a_message_that_fails_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    async with Bench(case.workflow) as bench:
        read = bench.store.messages
        held, is_holding = Held(read), False

        async def messages(query: MessageQuery) -> list[Message]:
            nonlocal is_holding
            hold, is_holding = is_holding, False
            return list(await (held if hold else read)(query))

        monkeypatch.setattr(bench.store, "messages", messages)
        await bench.publisher()
        run_id = (await triggered(bench, case.workflow, "1"))["1"].run_id
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        await pay(bench, run_id, BROKEN)
        await bench.pass_time()
        is_holding = True
        held.beginnings.release()
        await pay(bench, run_id, BROKEN_TOO)
        await bench.pass_time()
        assert case.calls == ["step 1", "paid 4"]
        case.gates[BROKEN].set()
        case.gates[BROKEN_TOO].set()
        await bench.pass_time()
        assert case.calls == ["step 1", "paid 4", "paid 5"]
        held.let_all()
        await bench.pass_time(0.4)  # less than the backoff
        assert case.calls == ["step 1", "paid 4", "paid 5"]
        await bench.pass_time(1)
        assert sorted(case.calls[3:]) == ["paid 4", "paid 5"]
