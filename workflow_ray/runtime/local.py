"""Roles as tasks of this process: alone on an embedded store, one of several on a server's."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from workflow_ray.definition import Workflow
from workflow_ray.ports import Store, records_adapter
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.hosting import deployed_here, merge, roles_of
from workflow_ray.runtime.ipc.address import announce
from workflow_ray.runtime.ipc.server import IpcServer
from workflow_ray.runtime.member import LEASE, Member
from workflow_ray.runtime.players import Players
from workflow_ray.runtime.runtime import Runtime
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.urls import Urls


class LocalRuntime(Runtime):
    """See `Runtime.local`. Other processes of this user reach the same store beside it, by `connect` and the command line.

    lease: seconds without a heartbeat after which other processes take over this one's roles, where they share them.
    """

    def __init__(self, workflows: Sequence[Workflow[Any, Any]], urls: Urls, *, lease: float = LEASE) -> None:
        super().__init__(workflows, urls)
        self._lease = lease

    async def __aenter__(self) -> Self:
        described = [deployed_here(workflow) for workflow in self._workflows.values()]
        store_id = await asyncio.to_thread(create, self.urls)
        is_shared = records_adapter(self.urls.records).shared
        async with AsyncExitStack() as stack:
            opening = open_store(self.urls, clock=self._clock, store_id=store_id, exclusive=not is_shared)
            store = await stack.enter_async_context(opening)
            begin = self._share if is_shared else self._play_all
            await begin(described, store, stack)
            self._stack, self._store = stack.pop_all(), store
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store = None
        await self._stack.aclose()

    async def _play_all(self, described: Sequence[DeployedWorkflow], store: Store, stack: AsyncExitStack) -> None:
        """Play every role, and serve the store to others of this machine, who can't reach it better by themselves."""
        await merge(store, described)
        path = stack.enter_context(announce(self.urls.places.records))
        lane = await stack.enter_async_context(IpcServer(store))
        await lane.start(path)
        players = Players(list(self._workflows.values()), store, self._clock)
        stack.push_async_callback(players.close)
        for role in roles_of(described):
            players.start(role, await store.acquire(role))

    async def _share(self, described: Sequence[DeployedWorkflow], store: Store, stack: AsyncExitStack) -> None:
        """Play what falls to this process, of those that share the roles."""
        member = Member(Players(list(self._workflows.values()), store, self._clock), store, self._clock, lease=self._lease)
        await member.join()  # first: where a Ray cluster has the store, nothing is deployed
        stack.push_async_callback(member.leave)
        await merge(store, described)
        await member.play(roles_of(described))
