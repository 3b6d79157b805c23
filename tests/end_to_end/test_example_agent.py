"""The agent of the examples: it calls each tool once, waits for a person, and comes to an end."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from examples.agent import MAX_TURNS, Decision, Ticket, TicketStatus, decide, model, tickets, tools
from examples.agent.model import Message, ScriptedModel, ToolCall
from examples.agent.tools import Tools
from examples.outside import Service
from tests.end_to_end.examples import crash, run_example
from workflow_ray import Client
from workflow_ray.testing import WorkflowTester, assert_history

REFUND = ToolCall(tool="refund", arguments={"subject": "order-2", "amount": "400 EUR"})


class Stubborn(ScriptedModel):
    """Asks for the same refund again and again."""

    async def reply(self, messages: list[Message]) -> Message:
        return Message(role="model", calls=[REFUND])


def about(order: str) -> Ticket:
    return Ticket(messages=[Message(role="customer", text=f"I return {order} .")])


def answer_of(ticket: Ticket) -> str:
    return ticket.messages[-1].text


@pytest.fixture
def shop(tmp_path: Path) -> Service:
    return Service("shop", tmp_path)


async def test_a_small_refund_needs_nobody(shop: Service) -> None:
    async with WorkflowTester(tickets, resources={tools: Tools(shop)}) as tester:
        handle = await tester.client(tickets).trigger("1", about("order-1"))
        run = await handle.wait()
    assert (run.status, answer_of(run.data)) == (
        TicketStatus.ANSWERED,
        "Your money for order-1 is on its way.",
    )
    assert shop.done() == ["looked up order-1", "refunded 30 EUR for order-1"]


@pytest.mark.parametrize(
    ("approved", "answer", "refunds"),
    [
        (True, "Your money for order-2 is on its way.", 1),
        (False, "I am sorry, I can't refund order-2: ann refused.", 0),
    ],
)
async def test_a_large_refund_waits_for_a_person(
    shop: Service, approved: bool, answer: str, refunds: int
) -> None:
    async with WorkflowTester(tickets, resources={tools: Tools(shop)}) as tester:
        handle = await tester.client(tickets).trigger("1", about("order-2"))
        await handle.wait_for(TicketStatus.AWAITING_APPROVAL)
        assert len(shop.done()) == 1
        await handle.callback(decide, Decision(by="ann", approved=approved))
        run = await handle.wait()
    assert answer_of(run.data) == answer
    assert shop.done()[1:] == ["refunded 400 EUR for order-2"] * refunds


async def test_an_approval_that_nobody_gives_is_a_rejection(shop: Service) -> None:
    async with WorkflowTester(tickets, resources={tools: Tools(shop)}) as tester:
        handle = await tester.client(tickets).trigger("1", about("order-2"))
        await handle.wait_for(TicketStatus.AWAITING_APPROVAL)
        await tester.advance(timedelta(hours=25))
        run = await handle.wait()
        await assert_history(
            handle,
            [
                TicketStatus.THINKING,
                TicketStatus.ACTING,
                TicketStatus.THINKING,
                TicketStatus.AWAITING_APPROVAL,
                TicketStatus.ACTING,
                TicketStatus.THINKING,
                TicketStatus.ANSWERED,
            ],
        )
    assert answer_of(run.data).endswith("nobody approved it in time.")


async def test_an_approval_is_for_the_calls_that_it_was_given_for(shop: Service) -> None:
    async with WorkflowTester(tickets, resources={tools: Tools(shop), model: Stubborn()}) as tester:
        client: Client[Ticket, TicketStatus] = tester.client(tickets)
        handle = await client.trigger("1", about("order-2"))
        for turn in range(1, MAX_TURNS + 1):
            await handle.wait_for(TicketStatus.AWAITING_APPROVAL)
            await handle.callback(decide, Decision(by="ann", approved=turn == MAX_TURNS))
        run = await handle.wait()
    assert (run.status, run.data.turns) == (TicketStatus.GAVE_UP, MAX_TURNS)
    assert shop.done() == ["refunded 400 EUR for order-2"]


async def test_a_tool_that_fails_costs_no_call_of_the_model(shop: Service) -> None:
    class Flaky(Tools):
        calls = 0

        async def call(self, call: ToolCall, *, idempotency_key: str) -> str:
            Flaky.calls += 1
            if Flaky.calls == 1:
                raise ConnectionError("the shop does not answer")
            return await super().call(call, idempotency_key=idempotency_key)

    async with WorkflowTester(tickets, resources={tools: Flaky(shop)}) as tester:
        handle = await tester.client(tickets).trigger("1", about("order-1"))
        await tester.advance(timedelta(minutes=1))
        run = await handle.wait()
    assert (run.data.turns, Flaky.calls) == (3, 3)


EXPECTED = Counter(
    {
        **{f"looked up order-{number}": 1 for number in (1, 2, 3)},
        "refunded 30 EUR for order-1": 1,
        "refunded 400 EUR for order-2": 1,
        "searched for 'Where is my parcel?'": 6,
    }
)


@pytest.mark.timeout(120)
def test_the_one_command_prints_the_conversations_and_calls_nothing_again(tmp_path: Path) -> None:
    for _ in range(2):
        printed = run_example("agent", tmp_path)
        assert "ticket-1 ANSWERED after 3 replies of the model" in printed
        assert "ticket-4 GAVE_UP after 6 replies of the model" in printed
        assert "  tool: not done: nobody approved it in time" in printed
    assert Counter(Service("shop", tmp_path).done()) == EXPECTED


@pytest.mark.timeout(120)
def test_no_tool_is_called_twice_however_often_it_is_killed(tmp_path: Path) -> None:
    assert "ticket-4 GAVE_UP after 6 replies of the model" in crash("agent", tmp_path, kills=3)
    assert Counter(Service("shop", tmp_path).done()) == EXPECTED
