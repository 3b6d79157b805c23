"""Callbacks: the functions that take messages from outside."""

from dataclasses import dataclass
from typing import Any

from workflow_ray.definition.data import ValueCodec
from workflow_ray.definition.function import RunFunction
from workflow_ray.definition.run import S


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback(RunFunction[S]):
    """Called with the run and a message from outside."""

    early: float = 0.0  # the seconds that a message is kept which comes too soon; 0.0: not kept
    codec: ValueCodec[Any]

    @property
    def message_type(self) -> Any:
        """The annotation of the message."""
        return self.codec.kind

    def read(self, payload: bytes) -> object:
        """Read a message. Raises pydantic.ValidationError if it doesn't fit."""
        return self.codec.decode(payload)

    def write(self, message: object) -> bytes:
        """Convert a message to JSON that reads back equal.

        Raises:
            InvalidInput: It is of another type, or would not read back equal. The error does not
                show the message.
        """
        return self.codec.encode(message)
