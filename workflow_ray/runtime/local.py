"""A runtime whose roles are tasks of this process. Processes on one server share the roles."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from workflow_ray.definition import Workflow
from workflow_ray.ports import Store, records_adapter
from workflow_ray.records import DeployedWorkflow, Deployment, admission_group
from workflow_ray.roles.loopwatch import PATIENCE
from workflow_ray.runtime.bridge import Bridge, bridged
from workflow_ray.runtime.deploy_terms import STRICT, DeployTerms
from workflow_ray.runtime.deploying import describe_here, merge_or_join
from workflow_ray.runtime.engine_thread import EngineThread
from workflow_ray.runtime.following import SoleWorker, follow
from workflow_ray.runtime.hosting import FOR_ALL
from workflow_ray.runtime.ipc.address import announce
from workflow_ray.runtime.ipc.server import IpcServer
from workflow_ray.runtime.process_status import ProcessStatus
from workflow_ray.runtime.role_runner import STOPPING, RoleRunner
from workflow_ray.runtime.runtime import Runtime
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.transactional import check_transactional
from workflow_ray.runtime.urls import Urls
from workflow_ray.runtime.user_loop import UserLoop
from workflow_ray.runtime.worker import LEASE, Worker


class LocalRuntime(Runtime):
    """See `Runtime.local`. Other processes of this user reach the same store by `connect` and the
    command line.

    Steps run in the event loop that enters the runtime. The store's connections, heartbeats,
    publisher and sweeper have a thread with an event loop of their own, so that a step which blocks
    its loop does not stop them.

    Args:
        workflows: Those to run.
        urls: Where records, events and timeouts are.
        lease: Seconds without a heartbeat after which other processes take over this one's roles,
            if they share them.
        patience: Seconds for which a step may block the event loop. After that the process gives up
            its roles until the loop answers, and the step has failed.
        terms: What the deploy may do.
    """

    def __init__(
        self,
        workflows: Sequence[Workflow[Any, Any]],
        urls: Urls,
        *,
        lease: float = LEASE,
        patience: float = PATIENCE,
        terms: DeployTerms = STRICT,
    ) -> None:
        super().__init__(workflows, urls, terms=terms)
        self._lease = lease
        self._patience = patience
        self._deadline = STOPPING
        self._is_finished = True  # False once leaving it has abandoned a step

    async def __aenter__(self) -> Self:
        self._begin_again()
        self._deadline = STOPPING  # `serve` may have set another one before
        described = [describe_here(workflow) for workflow in self._workflows.values()]
        check_transactional(self._workflows.values(), self.urls.records)
        store_id = await asyncio.to_thread(create, self.urls)
        self._runner: RoleRunner | None = None
        self._stack = AsyncExitStack()  # entered and closed in the engine's loop
        self._engine = EngineThread()
        self._engine.start()
        self._bridge = Bridge(self._engine.loop)
        try:
            self._store = await self._engine.call(self._open(store_id))
            user_loop = UserLoop(self._store, patience=self._patience)
            await self._engine.call(self._begin(described, user_loop))
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._store is not None:
            await self._leave()

    async def _drain(self, deadline: float, hurried: asyncio.Event) -> bool:
        if self._store is None:
            return self._is_finished
        self._deadline = deadline
        leaving = asyncio.create_task(self._leave())
        hurrying = asyncio.create_task(hurried.wait())
        try:
            await asyncio.wait({leaving, hurrying}, return_when=asyncio.FIRST_COMPLETED)
            if not leaving.done():
                self._engine.loop.call_soon_threadsafe(self._hurry)
            await leaving
        finally:
            hurrying.cancel()
        return self._is_finished

    async def _leave(self) -> None:
        self._begin_leaving()
        closing = asyncio.ensure_future(self._engine.call(self._stack.aclose()))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:  # it still releases the roles, but waits for no step
            self._engine.loop.call_soon_threadsafe(self._hurry)
            await closing
            raise
        finally:
            await self._engine.stop()
            self._bridge.close()

    def _hurry(self) -> None:
        if self._runner is not None:
            self._runner.hurry()

    # --- in the engine's loop -------------------------------------------------------------------

    async def _open(self, store_id: str) -> Store:
        """Open the store, and return it as callers in any loop use it."""
        opening = open_store(
            self.urls, clock=self._clock, store_id=store_id, exclusive=not self._is_shared
        )
        self._opened = await self._stack.enter_async_context(opening)
        return bridged(self._opened, self._bridge)

    @property
    def _is_shared(self) -> bool:
        return records_adapter(self.urls.records).shared

    async def _begin(self, described: Sequence[DeployedWorkflow], user_loop: UserLoop) -> None:
        self._runner = RoleRunner(
            list(self._workflows.values()),
            self._opened,
            self._clock,
            user_loop.run,
            lambda error: user_loop.call_soon(self._end_serving, error),
            self.urls.events,
            self.urls.records,
        )
        begin = self._share if self._is_shared else self._run_all
        worker = await begin(described, self._runner)

        async def may_run(user_code: bool) -> None:
            await worker.set_groups(_groups(described) if user_code else set(FOR_ALL))

        self._in_background(user_loop.watch(self._opened, self._clock, may_run))

    async def _run_all(
        self, described: Sequence[DeployedWorkflow], runner: RoleRunner
    ) -> SoleWorker:
        """Run every role, and serve the embedded store to other processes of this machine."""
        deployment = await self._deploy(described)
        path = self._stack.enter_context(announce(self.urls.places.records))
        since = self._clock.now()
        server = await self._stack.enter_async_context(
            IpcServer(self._opened, process=lambda: _process_status(runner, since))
        )
        await server.start(path)
        self._stack.push_async_callback(self._stop, runner.close)
        worker = SoleWorker(runner, self._opened, self._clock, _groups(described))
        await worker.apply(deployment, True)
        self._in_background(follow(deployment, self._opened, self._clock, worker.apply))
        return worker

    async def _share(self, described: Sequence[DeployedWorkflow], runner: RoleRunner) -> Worker:
        """Run this process's share of the roles."""
        worker = Worker(runner, self._opened, self._clock, lease=self._lease)
        await worker.join()  # before the deploy, which must not happen if Ray has the store
        self._stack.push_async_callback(self._stop, worker.leave)
        await worker.run(_groups(described), await self._deploy(described))
        return worker

    async def _stop(self, stop: Callable[[float], Awaitable[bool]]) -> None:
        self._is_finished = await stop(self._deadline)

    async def _deploy(self, described: Sequence[DeployedWorkflow]) -> Deployment:
        return await merge_or_join(
            self._opened, described, self._terms, definitions=list(self._workflows.values())
        )

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine until the runtime is left. It ends before all that began earlier."""
        self._stack.push_async_callback(_cancel, asyncio.create_task(work))


def _groups(described: Sequence[DeployedWorkflow]) -> set[str]:
    """Return the groups that this process can run.

    It can admit parked runs whatever its code is: earlier code may have parked them.
    """
    return {
        group
        for workflow in described
        for group in (*workflow.groups, admission_group(workflow.name))
    }


def _process_status(runner: RoleRunner, since: datetime) -> ProcessStatus:
    return ProcessStatus(
        host=socket.gethostname(), pid=os.getpid(), since=since, roles=runner.statuses()
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
