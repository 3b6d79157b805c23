"""How long a client puts up with a store that doesn't answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_ray.ports import Clock, persist

T = TypeVar("T")

BY = "client"
PATIENCE = 30.0
"""Seconds that a client keeps asking a store that doesn't answer, before it raises
StoreUnavailable.
"""


async def answered(call: Callable[[], Awaitable[T]], clock: Clock, *, patience: float = PATIENCE) -> T:
    """The call's answer, asked for again while the store gives none. Raises StoreUnavailable after
    `patience` seconds.
    """
    return await persist(call, clock, BY, patience=patience)
