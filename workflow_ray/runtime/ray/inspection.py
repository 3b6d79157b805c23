"""Finds what runs on Ray for a store, and how many steps are in flight."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.actors import ActorGone
from workflow_ray.runtime.ray.control import find_running
from workflow_ray.runtime.ray.registry import role_named

PATIENCE = 2.0
"""Seconds for an actor to answer how many steps it runs."""


@dataclass(frozen=True)
class Inspection:
    """A deployment on Ray."""

    actors: Sequence[ActorStatus]
    in_flight: Mapping[str, int]  # the steps that run now, by actor; without those not known
    logs: str  # the folder of the log files, on each node


async def inspect(records: str | None) -> Inspection | None:
    """Look at what runs on Ray for a store. Starts nothing.

    Args:
        records: The store's URL.

    Returns:
        None: nothing of it runs on Ray.

    Raises:
        RuntimeUnavailable: The supervisor does not answer.
    """
    control = await find_running(records)
    if control is None:
        return None
    namespace = control.deployed.namespace
    status = await control.status()
    running = [one.name for one in status if one.is_running and role_named(one.name)]
    counts = await asyncio.gather(*(_in_flight(name, namespace) for name in running))
    in_flight = {
        name: count for name, count in zip(running, counts, strict=True) if count is not None
    }
    return Inspection(status, in_flight, control.deployed.logs)


async def _in_flight(name: str, namespace: str) -> int | None:
    """Ask an actor how many steps it runs. None: its role has no step, or it does not answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            count: int | None = await actors.find(name, namespace).ask("in_flight")
            return count
    except (ActorGone, TimeoutError):
        return None
