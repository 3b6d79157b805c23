"""Waiting for actors that may not answer, because their loop hangs or they are suspended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_ray.runtime.ray.state import Slot

T = TypeVar("T")

HEARTBEATS = 18
"""Answers that an actor should give in the time after which it counts as silent."""

STARTING = 10
"""Until it runs, an actor may be silent so many times as long: an import may block its loop."""


class ActorSilent(Exception):
    """The actor has not answered for too long. Its process may still be there."""


async def answer_of(
    call: Awaitable[T], pause: float, gives_up: Callable[[int], Awaitable[bool]]
) -> T:
    """Await a call of an actor until it answers, or until `gives_up`.

    Args:
        call: Raises ActorGone if the actor dies.
        pause: Seconds between two questions whether to give up.
        gives_up: Called after each pause without an answer, with the number of pauses so far.

    Raises:
        ActorSilent: `gives_up` has answered True.
    """
    asking = asyncio.ensure_future(call)
    try:
        # Pauses are counted, not seconds: while this process is suspended, no actor is silent.
        pauses = 0
        while not (await asyncio.wait({asking}, timeout=pause))[0]:
            pauses += 1
            if await gives_up(pauses):
                raise ActorSilent(f"it has not answered for {pauses * pause:.3g} s")
        return asking.result()
    finally:
        asking.cancel()


def is_silent(slot: Slot, pauses: int) -> bool:
    """Whether an actor has been silent for so many pauses that it is to end.

    Before the first report of its actor, Ray may be starting it. But one that an earlier supervisor
    has started may wait for a node, and this one does not know for what.
    """
    if slot.report is None:
        return slot.attached and pauses > HEARTBEATS
    return pauses > (HEARTBEATS if slot.since is not None else HEARTBEATS * STARTING)
