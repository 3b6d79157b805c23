"""The signals that end a worker: the first one asks it to finish, the second one to hurry."""

import asyncio
import signal
from types import TracebackType
from typing import Self

from workflow_ray.errors import RuntimeUnavailable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Receives SIGTERM and SIGINT, in the running event loop, between entering and leaving it. Of
    several each receives every signal.

    Raises:
        RuntimeUnavailable: When entered outside of the main thread.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.name = ""
        """The name of the first signal."""

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            for number in SIGNALS:
                loop.add_signal_handler(number, _tell_all, number)
        except (RuntimeError, ValueError):
            raise RuntimeUnavailable(
                "serve",
                "signals reach the main thread only; await it there, or set an event of your own",
            ) from None
        _ENTERED.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _ENTERED.remove(self)
        for number in () if _ENTERED else SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def receive(self, number: signal.Signals) -> None:
        if self.first.is_set():
            self.second.set()
        else:
            self.name = number.name
            self.first.set()


_ENTERED: list[StopSignals] = []
"""All of them are in the main thread. A loop keeps one handler for a signal."""


def _tell_all(number: signal.Signals) -> None:
    for signals in _ENTERED:
        signals.receive(number)
