"""The work of every actor of ours, from its creation to its end."""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from workflow_ray.definition import RayOptions
from workflow_ray.errors import InvalidDefinition, NotImportable, RoleLost, RoleRetired
from workflow_ray.roles.loopwatch import Occupant
from workflow_ray.runtime.ray.actors import this_node
from workflow_ray.runtime.ray.log_files import output_file
from workflow_ray.runtime.ray.loop_watcher import LoopWatcher
from workflow_ray.runtime.ray.noticed import Noticed
from workflow_ray.runtime.ray.state import ActorReport, Phase
from workflow_ray.runtime.ray.stores import Limits

log = logging.getLogger(__name__)

COLLECT_AFTER = 50_000
"""Objects that an actor makes and keeps before it looks for cycles. Python's default: 700."""
LAST_REPORT = 0.5
"""Seconds that an actor lives on after its work has ended, to report that."""

Work: TypeAlias = Callable[["ActorWork"], Awaitable[None]]
Charge: TypeAlias = Callable[[Occupant, float], None]
"""Counts the attempt of a step that has blocked the loop for so many seconds. A thread calls it."""


class AsksForMore(Exception):
    """The actor's work asks for something else of the cluster than the actor was started with."""

    def __init__(self, asks: RayOptions) -> None:
        super().__init__(f"it is started again with {str(asks) or 'nothing'}")
        self.asks = asks


class ActorWork:
    """Runs an actor's work as a task of its loop, reports on it, and stops it.

    The process ends by itself once the work has ended, whether or not a supervisor notices.
    """

    def __init__(
        self,
        work: Work,
        limits: Limits,
        code: str = "",
        charge: Charge | None = None,
        log_path: str = "",
    ) -> None:
        """Start the work. Called in the actor's `__init__`: nothing here waits or fails.

        Args:
            work: Runs until `stop` is set.
            limits: How long the loop may be blocked, once the work runs; then the process ends.
            code: See `Wanted`. Reported to a supervisor that did not start this actor.
            charge: Called before that, if a step blocks the loop.
            log_path: The file that the process logs to.
        """
        self._limits = limits
        self._charge = charge
        self.stop = asyncio.Event()
        self._report = ActorReport(
            phase=Phase.STARTING,
            pid=os.getpid(),
            node=this_node(),
            code=code,
            host=socket.gethostname(),
            log=log_path,
            output=output_file(),
        )
        self._why_stopped = "it was asked to stop"
        self._changed = Noticed()  # that the report has
        self._task = asyncio.get_running_loop().create_task(self._run(work))

    async def tell_standby(self) -> None:
        """Tell that the actor is on standby. The work calls this."""
        await self._become(phase=Phase.STANDBY)

    async def tell_running(self, epoch: int | None = None) -> None:
        """Tell that the actor runs. The work calls this once it has started up."""
        _collect_seldom()
        LoopWatcher(self._end_blocked, limit=self._limits.blocked)
        await self._become(phase=Phase.RUNNING, epoch=epoch, since=datetime.now(UTC))

    async def report(self, seen: Phase | None, wait: float) -> ActorReport:
        """Return the actor's report, once its phase is not the one that was seen, or after `wait`
        seconds. The answer shows that the loop is not blocked.
        """
        await self._changed.wait_for(lambda: self._report.phase is not seen, wait)
        return self._report

    async def finish(self, why: str) -> None:
        """Stop by itself: finish the work in hand, however long it takes, then end.

        Args:
            why: Is reported as the reason of the end.
        """
        self._why_stopped = why
        self.stop.set()
        await self._become(phase=Phase.DRAINING)

    async def drain(self, deadline: float) -> None:
        """Stop: finish the work in hand for up to `deadline` seconds, then abandon it. Returns once
        the work has ended.
        """
        has_begun = self._report.phase not in (Phase.STARTING, Phase.STANDBY)
        self.stop.set()
        await self._become(phase=Phase.DRAINING)
        await asyncio.wait({self._task}, timeout=deadline if has_begun else 0)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, work: Work) -> None:
        why, crashed, unusable = "", False, False
        asks: RayOptions | None = None
        try:
            await work(self)
            why = self._why_stopped
        except AsksForMore as error:
            why, asks = str(error), error.asks
        except (RoleLost, RoleRetired) as error:
            why = str(error)
        except (InvalidDefinition, NotImportable) as error:  # the supervisor logs it
            why, crashed, unusable = str(error), True, True
        except asyncio.CancelledError:
            why, crashed = (
                ("it was abandoned", False) if self.stop.is_set() else ("it was cancelled", True)
            )
            log.warning("the work of this actor ended: %s", why)
        except BaseException as error:  # SystemExit too: the process must not stay without work
            log.exception("the work of this actor ended")
            why, crashed = f"{type(error).__name__}: {error}", True
        finally:
            # Not by exit_actor(), which waits for every call: long polls of dead callers never end.
            asyncio.get_running_loop().call_later(LAST_REPORT, os._exit, 0)
            await self._become(
                phase=Phase.ENDED, why=why, crashed=crashed, unusable=unusable, asks=asks
            )

    def _end_blocked(self, occupant: Occupant | None, seconds: float) -> None:
        """End the process, whose loop is blocked. The watcher's thread calls this. The supervisor
        starts another actor.
        """
        log.error("this process ends, because its event loop was blocked for %.3g s", seconds)
        try:
            if occupant is not None and self._charge is not None:
                self._charge(occupant, seconds)
        except Exception:  # the next holder finds out which step it was
            log.exception("the attempt of the step that blocks the event loop was not counted")
        finally:
            os._exit(1)

    async def _become(self, **changes: object) -> None:
        if self._report.phase is not Phase.ENDED:
            self._report = msgspec.structs.replace(self._report, **changes)
        await self._changed.notify()


def _collect_seldom() -> None:
    """Look for garbage cycles seldom: it took a tenth of the time. Imported objects stay, and the
    garbage of batches has no cycles.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
