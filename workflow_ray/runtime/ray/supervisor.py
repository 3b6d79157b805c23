"""The actor that keeps a deployment running on Ray."""

import logging
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime

from workflow_ray.roles.loopwatch import Occupant
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.actors import SUPERVISOR, find, this_node
from workflow_ray.runtime.ray.log_files import output_file, write_log
from workflow_ray.runtime.ray.loop_watcher import LoopWatcher
from workflow_ray.runtime.ray.registry import RayRegistry
from workflow_ray.runtime.ray.state import Phase
from workflow_ray.runtime.ray.stores import Deployed
from workflow_ray.runtime.ray.supervision import Supervision

log = logging.getLogger(__name__)


class Supervisor:
    """The supervisor's actor. Ray restarts it; it finds the actors that run by their names."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._log = write_log(deployed.logs, SUPERVISOR)
        self._since = datetime.now(UTC)
        self._supervision = Supervision(RayRegistry(deployed), silent=deployed.limits.silent)
        LoopWatcher(_end, limit=deployed.limits.blocked)

    async def deployed(self) -> Deployed:
        return self._deployed

    async def refresh(self) -> None:
        self._supervision.refresh()

    async def status(self) -> list[ActorStatus]:
        me = ActorStatus(
            name=SUPERVISOR,
            phase=Phase.RUNNING.value,
            pid=os.getpid(),
            node=this_node(),
            host=socket.gethostname(),
            since=self._since,
            log=self._log,
            output=output_file(),
        )
        return [me, *self._supervision.status()]

    async def settled(self, names: Sequence[str], wait: float, version: int) -> list[ActorStatus]:
        return await self._supervision.settled(names, wait, version)

    async def prepare(self, group: str, shards: int, wait: float) -> None:
        await self._supervision.prepare(group, shards, wait)

    async def restart(self, names: Sequence[str]) -> None:
        await self._supervision.restart(names)

    async def shutdown(self, deadline: float) -> None:
        """End all actors, this one last. The caller gets no answer, and may be gone by then."""
        await self._supervision.shutdown(deadline)
        find(SUPERVISOR, self._deployed.namespace).kill()


def _end(_: Occupant | None, seconds: float) -> None:
    """End this process, because its loop is blocked. Ray starts another."""
    log.error(
        "the supervisor's process ends, because its event loop was blocked for %.3g s", seconds
    )
    os._exit(1)
