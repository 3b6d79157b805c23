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
from workflow_ray.runtime.ray.state import ActorReport, Phase

log = logging.getLogger(__name__)

COLLECT_AFTER = 50_000
"""Objects that an actor makes and keeps before it looks for cycles among them. Python's default: 700."""
LAST_REPORT = 0.5
"""Seconds that an actor whose work has ended stays to report that."""

Work: TypeAlias = Callable[["ActorWork"], Awaitable[None]]


class ActorWork:
    """Runs an actor's work in the background of its loop, reports on it, and stops it.

    The process ends by itself once the work has ended, whether a supervisor sees that or not.
    """

    def __init__(self, work: Work, code: str = "") -> None:
        """Start the work. Called in the actor's `__init__`: nothing here waits or fails.

        Args:
            code: See `Wanted`. Reported to a supervisor that did not start this actor.
        """
        self.stop = asyncio.Event()
        self._report = ActorReport(phase=Phase.STARTING, pid=os.getpid(), node=this_node(), code=code)
        self._changed = asyncio.Condition()
        self._task = asyncio.get_running_loop().create_task(self._run(work))

    async def running(self, epoch: int | None = None) -> None:
        """Called by the work once it has started up."""
        _collect_seldom()
        await self._become(phase=Phase.RUNNING, epoch=epoch)

    async def report(self, seen: Phase | None) -> ActorReport:
        """The actor's report, as soon as its phase is not the one that was seen."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._report.phase is not seen)
        return self._report

    async def drain(self, deadline: float) -> None:
        """Stop: finish what is in hand for up to `deadline` seconds, then abandon it.

        Returns once the work has ended.
        """
        has_begun = self._report.phase is not Phase.STARTING
        self.stop.set()
        await self._become(phase=Phase.DRAINING)
        await asyncio.wait({self._task}, timeout=deadline if has_begun else 0)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, work: Work) -> None:
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
            # Not exit_actor(): that waits for every call in hand, and long polls of dead callers never end.
            asyncio.get_running_loop().call_later(LAST_REPORT, os._exit, 0)
            await self._become(phase=Phase.ENDED, why=why, crashed=crashed)

    async def _become(self, **changes: object) -> None:
        async with self._changed:
            if self._report.phase is not Phase.ENDED:
                self._report = msgspec.structs.replace(self._report, **changes)
            self._changed.notify_all()


def _collect_seldom() -> None:
    """Look for cycles seldom: what was imported stays, and batches make much garbage that needs no
    collector. Looking for cycles took a tenth of the time.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
