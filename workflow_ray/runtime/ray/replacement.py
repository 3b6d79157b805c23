"""When an actor should be replaced because functions that it has abandoned still run in it."""

import asyncio

from workflow_ray.ports import Clock
from workflow_ray.records import RoleName
from workflow_ray.roles.in_flight import InFlight

LOOK = 1.0
"""Seconds between two looks."""
GRACE = 10.0
"""Seconds that abandoned functions get to end by themselves."""
MOST = 32
"""The abandoned functions with which an actor takes no further runs, so that it has none in hand
soon. With fewer it is replaced at a moment at which it has none.
"""


async def until_due(role: RoleName, in_flight: InFlight, clock: Clock) -> int:
    """Wait until the role's process should be replaced. Only that ends the threads of its abandoned
    functions.

    Returns:
        The number of abandoned functions.
    """
    never = asyncio.Event()
    seen_at: float | None = None  # since when there have been abandoned functions
    while True:
        await clock.wait(never, LOOK)
        abandoned = in_flight.abandoned(role)
        if not abandoned:
            seen_at = None
        elif seen_at is None:
            seen_at = clock.monotonic()
        elif clock.monotonic() - seen_at >= GRACE and (abandoned >= MOST or not in_flight.of(role)):
            return abandoned
