"""Roles as tasks of this process: alone on an embedded store, one of several on a server's."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from workflow_ray.definition import Workflow
from workflow_ray.ports import Store, records_adapter
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.deploying import deployed_here, merge
from workflow_ray.runtime.following import SoleWorker, follow
from workflow_ray.runtime.ipc.address import announce
from workflow_ray.runtime.ipc.server import IpcServer
from workflow_ray.runtime.role_runner import RoleRunner
from workflow_ray.runtime.runtime import Runtime
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.urls import Urls
from workflow_ray.runtime.worker import LEASE, Worker


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
            begin = self._share if is_shared else self._run_all
            await begin(described, store, stack)
            self._stack, self._store = stack.pop_all(), store
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store = None
        await self._stack.aclose()

    async def _run_all(self, described: Sequence[DeployedWorkflow], store: Store, stack: AsyncExitStack) -> None:
        """Run every role, and serve the store to others of this machine, who can't reach it better by themselves."""
        deployment = await merge(store, described)
        path = stack.enter_context(announce(self.urls.places.records))
        server = await stack.enter_async_context(IpcServer(store))
        await server.start(path)
        runner = RoleRunner(list(self._workflows.values()), store, self._clock)
        stack.push_async_callback(runner.close)
        worker = SoleWorker(runner, store, self._clock, _groups(described))
        await worker.apply(deployment, True)
        following = asyncio.create_task(follow(deployment, store, self._clock, worker.apply), name="following the deployment")
        stack.push_async_callback(_cancelled, following)

    async def _share(self, described: Sequence[DeployedWorkflow], store: Store, stack: AsyncExitStack) -> None:
        """Run what falls to this process, of those that share the roles."""
        runner = RoleRunner(list(self._workflows.values()), store, self._clock)
        worker = Worker(runner, store, self._clock, lease=self._lease)
        await worker.join()  # first: where a Ray cluster has the store, nothing is deployed
        stack.push_async_callback(worker.leave)
        await worker.run(_groups(described), await merge(store, described))


def _groups(described: Sequence[DeployedWorkflow]) -> set[str]:
    """Those that this process has the code of."""
    return {group for workflow in described for group in workflow.groups}


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
