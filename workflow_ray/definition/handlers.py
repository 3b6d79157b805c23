"""Connectors, schedules, hooks and scrubbers: the functions that take no run further."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from workflow_ray.definition.function import AnyFunction
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.resources import Resource
from workflow_ray.definition.retry import Retry
from workflow_ray.ports import ConnectorSource
from workflow_ray.records import RunState

Overlap: TypeAlias = Literal["skip", "queue", "allow"]
"""What a schedule does at a tick if the run of the tick before is not finished: it leaves the tick
out, it triggers it afterwards, or it triggers it at once.
"""
OVERLAPS: tuple[Overlap, ...] = ("skip", "queue", "allow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """Calls its function with a client of the workflow and with each message of an outside log."""

    name: str
    source: ConnectorSource
    function: AnyFunction
    where: str  # file:line
    is_async: bool
    resources: Mapping[str, Resource[Any]]  # by the parameter's name
    shards: int
    retry: Retry
    ordered: bool  # whether a key whose message failed is blocked until the message is set aside
    ray: RayOptions | None = None  # what the actors of its roles ask of a Ray cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Triggers a run at each tick, with the data that its function returns for the tick. None: the
    tick starts no run.

    Exactly one of `cron` and `every` is given.
    """

    name: str
    function: AnyFunction
    where: str  # file:line
    is_async: bool
    cron: str | None
    timezone: str  # of `cron`: an IANA name
    every: float | None  # seconds, whole milliseconds; ticks are its multiples since 1970
    overlap: Overlap
    catch_up: float  # seconds: a tick that is later than this is skipped
    jitter: float  # seconds: the most by which the trigger of a tick is delayed


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Calls its function with a run that has come to a run state."""

    run_state: RunState  # PAUSED, CANCELLED or COMPLETED
    function: AnyFunction
    name: str
    where: str  # file:line
    is_async: bool
    resources: Mapping[str, Resource[Any]]  # by the parameter's name
    retry: Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubber:
    """Calls its function with a run whose data is deleted. It returns the data to keep."""

    function: AnyFunction
    name: str
    where: str  # file:line
    is_async: bool
    resources: Mapping[str, Resource[Any]]  # by the parameter's name
    retry: Retry
