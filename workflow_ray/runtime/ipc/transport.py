"""How a request gets to the process that owns the store, and its answer back."""

from typing import Protocol


class Transport(Protocol):
    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """The answer to one request, as `methods.answer` encodes it: errors of the store are in it,
        not raised.

        deadline: seconds; no answer by then raises StoreUnavailable.
        Raises StoreUnavailable: the outcome is unknown; WriteRejected: the body is too large to be
        carried, and wasn't sent. Cancelled, the outcome is unknown too.
        """
        ...
