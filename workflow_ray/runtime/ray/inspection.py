"""Finds what runs on Ray for a store, and how many steps are in flight."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.actors import ActorGone
from workflow_ray.runtime.ray.control import find_running
from workflow_ray.runtime.ray.registry import role_named

PATIENCE = 2.0
"""Seconds for an actor to answer what it does."""


@dataclass(frozen=True)
class Inspection:
    """A deployment on Ray."""

    actors: Sequence[ActorStatus]
    in_flight: Mapping[str, int]  # the steps that run now, by actor; without those not known
    breakers: Mapping[str, str]  # why circuit breakers hold runs back, by actor
    removed: Mapping[str, dict[str, int]]  # what retention has removed, by actor
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
    answers = await asyncio.gather(*(_asked(name, namespace) for name in running))
    by_name = dict(zip(running, answers, strict=True))
    return Inspection(
        status,
        {name: each.count for name, each in by_name.items() if each.count is not None},
        {name: each.breaker for name, each in by_name.items() if each.breaker},
        {name: each.removed for name, each in by_name.items() if each.removed},
        control.deployed.logs,
    )


@dataclass
class _Asked:
    """What an actor has said of its role."""

    count: int | None = None  # steps that it runs; None: it has no step, or does not answer
    breaker: str = ""  # why its circuit breaker holds runs back
    removed: dict[str, int] = field(default_factory=dict[str, int])  # by retention


async def _asked(name: str, namespace: str) -> _Asked:
    """Ask an actor what its role does."""
    asked = _Asked()
    try:
        async with asyncio.timeout(PATIENCE):
            actor = actors.find(name, namespace)
            asked.count = await actor.ask("in_flight")
            asked.breaker = await actor.ask("breaker")
            asked.removed = await actor.ask("removed")
    # an actor of an earlier version of workflow_ray has not all of these methods
    except (ActorGone, AttributeError, TimeoutError):
        pass
    return asked
