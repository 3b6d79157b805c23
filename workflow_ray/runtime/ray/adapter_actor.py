"""The actor that has the store's connections, and combines the writes of all roles."""

import asyncio

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Clock, Store, SystemClock, records_adapter
from workflow_ray.records import RunId
from workflow_ray.runtime.heap import keep_loaded
from workflow_ray.runtime.ipc import IpcServer, Served, announce, answer
from workflow_ray.runtime.ray.actors import STORE
from workflow_ray.runtime.ray.log_files import write_log
from workflow_ray.runtime.ray.state import ActorReport, Phase
from workflow_ray.runtime.ray.stores import Deployed
from workflow_ray.runtime.ray.supervisor_watch import watch_supervisor
from workflow_ray.runtime.ray.work import ActorWork
from workflow_ray.runtime.stores import open_store

PATIENCE = 10.0
"""Seconds to wait until the previous adapter actor has closed the store."""
CHECK = 5.0
"""Seconds between two checks of whether the store still answers..."""
CHECKS = 3
"""...and the failed checks in a row after which this actor ends, if others can open the store. The
next actor opens it again.
"""
NO_RUN = RunId("00000000-0000-7000-8000-000000000000")


class AdapterActor:
    """Opens the store and serves it until it is asked to stop: by IPC on its node, and by actor
    calls to other nodes.
    """

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._open: asyncio.Future[tuple[Store, str]] = asyncio.get_running_loop().create_future()
        log_path = write_log(deployed.logs, STORE)
        self._work = ActorWork(self._serve, deployed.limits, log_path=log_path)

    async def report(self, seen: Phase | None, wait: float) -> ActorReport:
        return await self._work.report(seen, wait)

    async def drain(self, deadline: float) -> None:
        await self._work.drain(deadline)

    async def endpoint(self) -> str:
        """Return the path of the IPC socket, once it exists."""
        _, path = await asyncio.shield(self._open)
        return path

    async def call(self, method: str, body: bytes) -> bytes:
        """Answer one request of another node, encoded as for IPC."""
        store, _ = await asyncio.shield(self._open)
        return await answer(Served(store), method, body)

    async def _serve(self, work: ActorWork) -> None:
        deployed, clock = self._deployed, SystemClock()
        async with open_store(
            deployed.urls, clock=clock, store_id=deployed.store_id, patience=PATIENCE
        ) as store:
            with announce(deployed.places.records) as path:
                async with IpcServer(store) as server:
                    await server.start(path)
                    self._open.set_result((store, path))
                    keep_loaded()
                    await work.tell_running()
                    watching = asyncio.create_task(
                        watch_supervisor(deployed.namespace, deployed.limits.silent)
                    )
                    try:
                        await self._while_it_answers(store, clock, work.stop)
                    finally:
                        watching.cancel()

    async def _while_it_answers(self, store: Store, clock: Clock, stop: asyncio.Event) -> None:
        """Return at `stop`.

        Raises:
            StoreUnavailable: The store answers other connections, but not this process's. While it
                answers nobody, another adapter actor would not help.
        """
        failures = 0
        while not await clock.wait(stop, CHECK):
            try:
                await store.lookup([NO_RUN], fresh=True)
                failures = 0
            except StoreUnavailable:
                failures += 1
                if failures >= CHECKS and await self._answers_others(clock):
                    raise

    async def _answers_others(self, clock: Clock) -> bool:
        url = self._deployed.urls.records
        try:
            async with records_adapter(url).open_records(url, clock=clock, exclusive=False):
                return True
        except StoreUnavailable:
            return False
