"""What every actor of ours does from its creation to its end."""

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.runtime.ray.actors import this_node
from workflow_ray.runtime.ray.state import Phase, Standing

log = logging.getLogger(__name__)

COLLECT_AFTER = 50_000
"""Objects that an actor makes and keeps before it looks for cycles among them. Python's default: 700."""
LAST_WORDS = 0.5
"""Seconds that an actor whose work has ended stays to say so."""

Work: TypeAlias = Callable[["Life"], Awaitable[None]]


class Life:
    """An actor's work, in the background of its loop; others hear how it stands, and tell it to stop.

    The process leaves by itself once the work has ended, whether a supervisor is there to see it or not.
    """

    def __init__(self, work: Work, code: str = "") -> None:
        """Begin. Called in the actor's `__init__`: nothing here waits or fails. code: see `Wanted`, for whoever adopts the actor."""
        self.stop = asyncio.Event()
        self._standing = Standing(phase=Phase.STARTING, pid=os.getpid(), node=this_node(), code=code)
        self._changed = asyncio.Condition()
        self._task = asyncio.get_running_loop().create_task(self._live(work))

    async def running(self, epoch: int | None = None) -> None:
        """Said by the work once it is up."""
        _collect_seldom()
        await self._become(phase=Phase.RUNNING, epoch=epoch)

    async def standing(self, seen: Phase | None) -> Standing:
        """How it stands, as soon as that is another phase than the one seen."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._standing.phase is not seen)
        return self._standing

    async def drain(self, deadline: float) -> None:
        """Stop, and finish what is in hand for up to `deadline` seconds; then abandon it. Returns at the end."""
        has_begun = self._standing.phase is not Phase.STARTING
        self.stop.set()
        await self._become(phase=Phase.DRAINING)
        await asyncio.wait({self._task}, timeout=deadline if has_begun else 0)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _live(self, work: Work) -> None:
        why, crashed = "it was told to stop", False
        try:
            await work(self)
        except (RoleLost, RoleRetired) as error:
            why = str(error)
        except asyncio.CancelledError:
            why, crashed = ("it was abandoned", False) if self.stop.is_set() else ("it was cancelled", True)
            log.warning("the work of this actor ended: %s", why)
        except BaseException as error:  # also SystemExit of a step: the process must not stay without work
            log.exception("the work of this actor ended")
            why, crashed = f"{type(error).__name__}: {error}", True
        finally:
            # not exit_actor(): that waits for every call in hand, and long polls of dead callers never end
            asyncio.get_running_loop().call_later(LAST_WORDS, os._exit, 0)
            await self._become(phase=Phase.ENDED, why=why, crashed=crashed)

    async def _become(self, **changes: object) -> None:
        async with self._changed:
            if self._standing.phase is not Phase.ENDED:
                self._standing = msgspec.structs.replace(self._standing, **changes)
            self._changed.notify_all()


def _collect_seldom() -> None:
    """What was imported stays, and batches make much garbage that needs no collector: looking for cycles took a tenth of the time."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
