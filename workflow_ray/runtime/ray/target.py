"""The deployment, as it was last read, and the actors that it needs."""

import asyncio
import logging
import time
from collections.abc import Callable

from workflow_ray.errors import StoreError
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray.registry import THE_STORE, ActorRegistry
from workflow_ray.runtime.ray.state import Wanted, wanted_by

log = logging.getLogger(__name__)

WAIT = 20.0
"""Seconds that one wait for a newer deployment takes."""
PREPARED = 30.0
"""Seconds for which the actors of a group's next shard count are kept on standby."""
AGAIN = 1.0
"""Seconds until a newer deployment is asked for again, if the store did not answer."""


class Target:
    """Keeps the deployment and the actors that it needs. Each pass reads it; between two passes it
    is followed.
    """

    def __init__(self, registry: ActorRegistry) -> None:
        self._registry = registry
        self._seen_at = time.monotonic()  # when this version of the deployment was first read
        self._prepared: dict[str, tuple[int, float]] = {}
        """A group -> its next shard count, and when that was asked for."""
        self.deployment = Deployment(store_id="")

    def wanted(self) -> list[Wanted]:
        """Return the actors that should run. Before the first read, that is the adapter actor."""
        now = time.monotonic()
        asked = self._prepared.items()
        prepared = {group: shards for group, (shards, at) in asked if now - at < PREPARED}
        return [THE_STORE, *wanted_by(self.deployment, now - self._seen_at, prepared)]

    def prepare(self, group: str, shards: int) -> None:
        """Want the actors of a group's next shard count too, for PREPARED seconds. They replace
        those of another count that was prepared for the group.
        """
        self._prepared[group] = shards, time.monotonic()

    async def read(self) -> bool:
        """Read the deployment. False: the store does not answer, and the last answer holds."""
        try:
            self._learn(await self._registry.deployment())
        except StoreError as error:
            log.warning("%s", error)
            return False
        return True

    async def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` at each newer deployment, until cancelled."""
        while True:
            try:
                newer = await self._registry.deployment(
                    newer_than=self.deployment.version, wait=WAIT
                )
                if newer.version > self.deployment.version:
                    self._learn(newer)
                    changed()
            except Exception as error:
                if not isinstance(error, StoreError):  # `read` logs those
                    log.exception(
                        "following the deployment failed; it is read again in %g s", AGAIN
                    )
                await asyncio.sleep(AGAIN)

    def _learn(self, deployment: Deployment) -> None:
        if deployment.version != self.deployment.version:
            self._seen_at = time.monotonic()
        self.deployment = deployment
