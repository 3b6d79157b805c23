"""Watching the supervisor. The adapter actor does it, because each deployment has one."""

import asyncio
import logging

from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actors import SUPERVISOR, ActorGone
from workflow_ray.runtime.ray.silence import HEARTBEATS, ActorSilent, answer_of

log = logging.getLogger(__name__)


async def watch_supervisor(namespace: str, silent: float) -> None:
    """Have Ray start the supervisor again if it does not answer, until cancelled. If it dies, Ray
    starts it again by itself.

    Args:
        namespace: The deployment's.
        silent: Seconds without an answer after which it is killed.
    """
    pause = silent / HEARTBEATS
    while True:
        await asyncio.sleep(pause)
        try:
            supervisor = actors.find(SUPERVISOR, namespace)
            try:
                await answer_of(supervisor.ask("deployed"), pause, _is_silent)
            except ActorSilent as error:
                log.error("the supervisor is killed, and started again: %s", error)
                supervisor.kill(restart=True)
        except ActorGone:  # it is being started again, or the deployment ends
            continue
        except Exception:
            log.exception("watching the supervisor failed; it is watched again in %.3g s", pause)


async def _is_silent(pauses: int) -> bool:
    return pauses > HEARTBEATS
