"""Repeats calls to a store that does not answer."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any, cast

from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.ports.methods import methods_of

BY = "client"
PATIENCE = 30.0
"""Seconds that a client keeps asking a store that doesn't answer, before it raises
StoreUnavailable.
"""


def patient(records: RecordStore, clock: Clock, patience: float) -> RecordStore:
    """Make a store that repeats its calls, with the same ids, while the given one does not answer.

    Args:
        records: The store.
        clock: Measures the patience.
        patience: Seconds after which a call raises StoreUnavailable.
    """
    methods = {
        name: _repeated(getattr(records, name), clock, patience) for name in methods_of(RecordStore)
    }
    return cast(RecordStore, SimpleNamespace(**methods))


def _repeated(
    method: Callable[..., Awaitable[Any]], clock: Clock, patience: float
) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def repeated(*arguments: Any, **named: Any) -> Any:
        return await persist(partial(method, *arguments, **named), clock, BY, patience=patience)

    return repeated
