"""What a model is to the agent, and a model without a network, whose replies follow a script."""

import asyncio
from typing import Literal, Protocol

from pydantic import BaseModel

SECONDS = 0.15
"""How long the scripted model thinks."""


class ToolCall(BaseModel):
    tool: str
    arguments: dict[str, str]

    def __str__(self) -> str:
        return f"{self.tool}({', '.join(self.arguments.values())})"


class Message(BaseModel):
    """One message of a conversation. A model's has calls, or it is the answer."""

    role: Literal["customer", "model", "tool"]
    text: str = ""
    calls: list[ToolCall] = []

    def __str__(self) -> str:
        return f"{self.role}: {', '.join(map(str, self.calls)) or self.text}"


class Model(Protocol):
    async def reply(self, messages: list[Message]) -> Message:
        """Continue a conversation."""
        ...


class ScriptedModel:
    """Handles complaints: it looks up the order, refunds it, and answers.

    For a customer who names no order it keeps on searching, as a confused model does.
    """

    async def reply(self, messages: list[Message]) -> Message:
        await asyncio.sleep(SECONDS)
        if (order := _order_in(messages[0].text)) is None:
            return _calls("search", messages[0].text)
        match messages[-1].text.split(": "):
            case _ if messages[-1].role == "customer":
                return _calls("look_up", order)
            case ["found", amount]:
                return _calls("refund", order, amount)
            case ["not done", why]:
                return _answer(f"I am sorry, I can't refund {order}: {why}.")
            case _:
                return _answer(f"Your money for {order} is on its way.")


def _order_in(text: str) -> str | None:
    return next((word for word in text.split() if word.startswith("order-")), None)


def _calls(tool: str, *arguments: str) -> Message:
    names = ("subject", "amount")
    call = ToolCall(tool=tool, arguments=dict(zip(names, arguments, strict=False)))
    return Message(role="model", calls=[call])


def _answer(text: str) -> Message:
    return Message(role="model", text=text)
