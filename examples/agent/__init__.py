"""An agent that answers customers: a model that calls tools, and a person who approves refunds.

THINKING --think--> ANSWERED
             or --> ACTING --act--> THINKING, and so on
             or --> AWAITING_APPROVAL --decide, or nobody does--> ACTING
             or --> GAVE_UP, after too many turns

Each call of the model and of a tool is made by `run.once`: if the process dies, the next one finds
the results of all calls that were made, and goes on with the conversation.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from examples.agent.model import Message, Model, ScriptedModel, ToolCall
from examples.agent.tools import Tools
from examples.outside import Service
from workflow_ray import Retry, Run, Status, Workflow, resource

MAX_TURNS = 6
"""The calls of the model for one ticket. It limits what a confused model can cost."""
AFTER_ERRORS = Retry(attempts=5, backoff=timedelta(seconds=1), factor=3.0)


class TicketStatus(Status):
    THINKING = 1
    ACTING = 2
    AWAITING_APPROVAL = 3
    ANSWERED = 4
    GAVE_UP = 5


class Ticket(BaseModel):
    """The conversation, and what a person has decided about the last calls."""

    messages: list[Message]
    turns: int = 0
    patience: timedelta = timedelta(hours=24)  # for an approval
    refusal: str | None = None  # why the calls that need an approval are not made


class Decision(BaseModel):
    by: str
    approved: bool


TicketRun: TypeAlias = Run[Ticket, TicketStatus]
tickets = Workflow("tickets", Ticket, TicketStatus)


# To use a model of a provider, yield its client here, in a class with the method of `Model`.
@resource
async def model() -> AsyncIterator[Model]:
    yield ScriptedModel()


@resource
async def tools() -> AsyncIterator[Tools]:
    yield Tools(Service("shop"))


@tickets.step(TicketStatus.THINKING, retry=AFTER_ERRORS, timeout=timedelta(minutes=2))
async def think(
    run: TicketRun, model: Model = model.value, tools: Tools = tools.value
) -> Literal[
    TicketStatus.ACTING,
    TicketStatus.AWAITING_APPROVAL,
    TicketStatus.ANSWERED,
    TicketStatus.GAVE_UP,
]:
    if run.data.turns == MAX_TURNS:
        return TicketStatus.GAVE_UP
    reply = await run.once("reply", model.reply, run.data.messages)
    run.data.messages.append(reply)
    run.data.turns += 1
    if not reply.calls:
        return TicketStatus.ANSWERED
    run.data.refusal = None
    if any(tools.needs_approval(call) for call in reply.calls):
        return TicketStatus.AWAITING_APPROVAL
    return TicketStatus.ACTING


@tickets.callback(TicketStatus.AWAITING_APPROVAL)
async def decide(run: TicketRun, message: Decision) -> Literal[TicketStatus.ACTING]:
    if not message.approved:
        run.data.refusal = f"{message.by} refused"
    return TicketStatus.ACTING


@tickets.timeout(TicketStatus.AWAITING_APPROVAL, at=lambda run: run.updated_at + run.data.patience)
async def nobody_decides(run: TicketRun) -> Literal[TicketStatus.ACTING]:
    run.data.refusal = "nobody approved it in time"
    return TicketStatus.ACTING


@tickets.step(TicketStatus.ACTING, retry=AFTER_ERRORS, timeout=timedelta(minutes=2))
async def act(run: TicketRun, tools: Tools = tools.value) -> Literal[TicketStatus.THINKING]:
    for number, call in enumerate(run.data.messages[-1].calls):
        run.data.messages.append(
            Message(role="tool", text=await result_of(run, number, call, tools))
        )
    return TicketStatus.THINKING


async def result_of(run: TicketRun, number: int, call: ToolCall, tools: Tools) -> str:
    if run.data.refusal is not None and tools.needs_approval(call):
        return f"not done: {run.data.refusal}"
    # The tool gets a key too, for a process that dies after the call and before it is stored.
    key = f"{run.idempotency_key}:{number}"
    return await run.once(f"call-{number}", tools.call, call, idempotency_key=key)
