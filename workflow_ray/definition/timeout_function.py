"""Timeouts: the functions that are called when a run has been at a status for some time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_ray.definition.function import OneStatus
from workflow_ray.definition.run import Run, S


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutFunction(OneStatus[S]):
    """Called with the run when the timeout is due. Exactly one of `after` and `at` is given."""

    after: float | None = None  # seconds from the run's entry of the status
    # Called with the run when it enters the status. It gives the time at which the timeout is due.
    at: Callable[[Run[Any, S]], datetime] | None = None
