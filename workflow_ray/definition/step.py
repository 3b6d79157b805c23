"""Steps: the functions that take a run from one status to the next."""

from dataclasses import dataclass
from typing import Any

from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.function import OneStatus
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.run import S


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(OneStatus[S]):
    """Called with a run that is at its status."""

    shards: int
    max_in_flight: int  # the runs that one role works on at a time
    ray: RayOptions | None = None  # what the actors of its roles ask of a Ray cluster
    breaker: Breaker | None = None
    # The parameter that takes the session of the transaction that ends with the transition's
    # write. None: the step is not transactional.
    session: str | None = None
    flow: FlowControl[Any, S] | None = None  # None: its runs are not parked


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStep(Step[S]):
    """Called with a list of runs that are at its status.

    Its `timeout` is None, because its limit is that of a call and not that of an attempt.
    """

    max_batch: int  # the runs that one call takes
    max_wait: float  # seconds that the first run of a batch waits for others
    max_batches: int  # the calls that one role makes at a time
    call_timeout: float | None = None  # the seconds that one call may take; None: no limit
