"""The tools that the model may call."""

from examples.agent.model import ToolCall
from examples.outside import Service

AMOUNTS = {"order-1": "30 EUR", "order-2": "400 EUR", "order-3": "250 EUR"}
FREE_UP_TO = 100
"""A refund of more EUR than this needs a person's approval."""


class Tools:
    """The shop's systems, as far as the agent may use them."""

    def __init__(self, shop: Service) -> None:
        self._shop = shop

    def needs_approval(self, call: ToolCall) -> bool:
        return call.tool == "refund" and int(call.arguments["amount"].split()[0]) > FREE_UP_TO

    async def call(self, call: ToolCall, *, idempotency_key: str) -> str:
        """Make a call, and return its result for the model."""
        subject = call.arguments["subject"]
        match call.tool:
            case "look_up":
                what, answer = f"looked up {subject}", f"found: {AMOUNTS.get(subject, '0 EUR')}"
            case "refund":
                what, answer = f"refunded {call.arguments['amount']} for {subject}", "done"
            case "search":
                what, answer = f"searched for {subject!r}", "nothing found"
            case _:
                return f"there is a mistake: {call.tool} is unknown"
        return await self._shop.do(what, answer, idempotency_key=idempotency_key)
