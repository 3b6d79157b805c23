"""Steps: the functions that take a run from one status to the next."""

from dataclasses import dataclass

from workflow_ray.definition.function import OneStatus
from workflow_ray.definition.run import S


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(OneStatus[S]):
    """Called with a run that is at its status."""

    shards: int
    max_in_flight: int  # the runs that one role works on at a time
