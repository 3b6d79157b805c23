"""Waits for messages to be settled. All waits of a client share their calls to the store."""

from collections.abc import Awaitable, Callable, Collection

from workflow_ray.client.shared_calls import SharedCalls
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Message, MessageKey, MessageQuery


class Answers:
    """Wakes waits when their messages are settled.

    It needs no closing, and waits of different event loops share nothing.

    Args:
        records: A store that repeats its calls while the given one does not answer.
        clock: Measures the waits.
        quiet: Called when waits have brought no answer for a while.
    """

    def __init__(
        self, records: RecordStore, clock: Clock, quiet: Callable[[], Awaitable[None]]
    ) -> None:
        self._records = records
        self._calls = SharedCalls[MessageKey, Message](self._ask, clock, quiet)

    async def of(self, key: MessageKey, *, wait: float | None) -> Message | None:
        """Wait until the message is settled.

        Args:
            key: The message's.
            wait: Seconds. None: no limit.

        Returns:
            The settled message. None: the time is over.

        Raises:
            WorkflowError: What the store's `messages` raises.
        """
        return await self._calls.wait(key, wait)

    async def _ask(self, wanted: Collection[MessageKey], wait: float) -> dict[MessageKey, Message]:
        settled = await self._records.messages(
            MessageQuery(keys=tuple(wanted)), settled=True, wait=wait
        )
        return {message.key: message for message in settled}
