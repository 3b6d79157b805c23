"""IPC without a socket, and a store that records its calls."""

import inspect
from collections.abc import Sequence
from typing import Any, cast

from workflow_ray.ports import Store
from workflow_ray.runtime.ipc import Served, answer
from workflow_ray.runtime.ipc.methods import METHODS


def as_decoded(argument: object) -> object:
    """Return the argument as the other end gets it: every sequence is a list there."""
    return list(cast(Sequence[object], argument)) if isinstance(argument, tuple) else argument


class RecordingStore:
    """Returns or raises `outcome` in every method, and records the calls."""

    def __init__(self, outcome: object) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._outcome = outcome

    def __getattr__(self, name: str) -> Any:
        async def method(*args: Any, **named: Any) -> Any:
            bound = inspect.signature(METHODS[name].declared).bind(self, *args, **named)
            bound.apply_defaults()
            self.calls.append(
                (
                    name,
                    {
                        key: as_decoded(value)
                        for key, value in bound.arguments.items()
                        if key != "self"
                    },
                )
            )
            if isinstance(self._outcome, Exception):
                raise self._outcome
            return self._outcome

        return method


class Loopback:
    """A Transport to a store in the same process."""

    def __init__(self, store: object) -> None:
        self._served = Served(cast(Store, store))
        self.deadline = 0.0

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        self.deadline = deadline
        return await answer(self._served, method, body)
