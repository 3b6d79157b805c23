"""Lets the agent answer four customers, and prints the conversations.

python -m examples.agent [--records URL] [--runtime local|ray]
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

from examples.agent import Decision, Ticket, TicketStatus, decide, tickets
from examples.agent.model import Message
from examples.running import Options, parser_of, runtime_of
from workflow_ray import Client, Run
from workflow_ray.errors import CallbackError, RunFinished

QUESTIONS = {
    "ticket-1": "The bowl of order-1 is broken.",
    "ticket-2": "The globe of order-2 is flat.",
    "ticket-3": "The hammock of order-3 is too comfortable.",
    "ticket-4": "Where is my parcel?",
}
APPROVED_BY = {"ticket-2": "ann"}
PATIENCE = {"ticket-3": timedelta(seconds=2)}
"""Nobody decides about it, and a demonstration does not wait for a day."""


async def answer(
    client: Client[Ticket, TicketStatus], name: str, question: str
) -> Run[Ticket, TicketStatus]:
    """Open a ticket, and wait until the agent is done with it.

    The keys make it repeatable: when this program runs again, it finds its earlier tickets.
    """
    ticket = Ticket(messages=[Message(role="customer", text=question)])
    ticket.patience = PATIENCE.get(name, ticket.patience)
    handle = await client.trigger(name, ticket, idempotency_key=name)
    async for entry in handle.follow():
        if entry.status is TicketStatus.AWAITING_APPROVAL and name in APPROVED_BY:
            decision = Decision(by=APPROVED_BY[name], approved=True)
            print(f"{decision.by} approves what {name} asks for", flush=True)
            with suppress(CallbackError, RunFinished):  # it was too late
                await handle.callback(decide, decision, idempotency_key=f"{name}:{entry.version}")
    return await handle.get()


async def main(options: Options) -> None:
    async with runtime_of(options, tickets) as runtime:
        client = runtime.client(tickets)
        answered = [answer(client, name, question) for name, question in QUESTIONS.items()]
        for run in await asyncio.gather(*answered):
            print(
                f"\n{run.foreign_id} {run.status.name} after {run.data.turns} replies of the model"
            )
            for message in run.data.messages:
                print(f"  {message}")


if __name__ == "__main__":
    parser = parser_of("agent", "Let an agent answer four customers.")
    asyncio.run(main(parser.parse_args(namespace=Options())))
