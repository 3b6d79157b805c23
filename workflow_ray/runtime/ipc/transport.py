"""Carries requests to the process that owns the store, and its answers back."""

from typing import Protocol


class Transport(Protocol):
    """A way to the process that owns the store."""

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        """Send one request, and return its answer. Errors of the store are part of the answer.

        If it is cancelled, the outcome of the request is unknown.

        Args:
            method: The method's name.
            body: Its arguments, as `Method.request` encodes them.
            deadline: Seconds to wait for the answer.

        Returns:
            The answer, as `Method.result` decodes it.

        Raises:
            StoreUnavailable: No answer came, and the outcome is unknown.
            WriteRejected: The body is too large, and was not sent.
        """
        ...
