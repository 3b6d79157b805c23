"""The role that lets the parked runs of one workflow go on to their steps. It runs no user code."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from workflow_ray.engine.rates import Rates
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Fence,
    FlowLimits,
    SetAside,
    SetAsideQuery,
    WriteGroup,
    admission_group,
    consumer_group,
)
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.status_admission import StatusAdmission
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

T = TypeVar("T")
CHECK = 60.0
"""Seconds between two checks of the role's fence, and between two looks at the statuses without
flow control. Runs may be parked there by earlier code.
"""
NO_LIMITS = FlowLimits()


class Admission:
    """Admits the parked runs of one workflow, each status by itself.

    It follows the deployment: another limit applies at once. Runs that are parked at a status which
    has no flow control any more are all admitted.
    """

    def __init__(self, fence: Fence, workflow: str, records: RecordStore, clock: Clock) -> None:
        self._fence = fence
        self._workflow = workflow
        self._records = records
        self._clock = clock
        self._deployment = Deployment(store_id="", version=-1)
        self._statuses: dict[int, StatusAdmission] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Admit runs until `stop`. Raises RoleLost.

        If it is cut off, the next holder goes on: slots and rates are counted from what is stored.
        """
        self._deployment = await self._persist(self._records.deployment)
        rates = await self._stored_rates()
        while not stop.is_set():
            with_flow = self._limits()
            self._statuses = {
                status: self._admission(status, limits, rates[status])
                for status, limits in with_flow.items()
            }
            await self._work(stop)

    async def _work(self, stop: asyncio.Event) -> None:
        """Work until `stop`, or until other statuses have flow control."""
        ended = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                for status in self._statuses.values():
                    tasks.create_task(status.run(ended))
                tasks.create_task(self._admit_others(ended))
                await self._follow(stop)
                ended.set()
        except* WorkflowError as errors:
            raise errors.exceptions[0] from None

    async def _follow(self, stop: asyncio.Event) -> None:
        """Hand on the limits of each deployment, until other statuses have flow control."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                limits = self._limits()
                if limits.keys() != self._statuses.keys():
                    return
                for status, admission in self._statuses.items():
                    admission.set_limits(limits[status])
                newer = await until_stopped.wait(self._newer)
                self._deployment = newer or self._deployment

    async def _newer(self) -> Deployment:
        version = self._deployment.version
        return await self._persist(
            lambda: self._records.deployment(newer_than=version, wait=LONG_POLL)
        )

    async def _admit_others(self, stop: asyncio.Event) -> None:
        """Admit what is parked at the statuses without flow control, and check the fence."""
        while not stop.is_set():
            for status in self._without_flow():
                await self._admission(status, NO_LIMITS, Rates()).look(stop)
            await store_fenced(self._records, WriteGroup(fence=self._fence), self._clock)
            await self._clock.wait(stop, CHECK)

    def _admission(self, status: int, limits: FlowLimits, rates: Rates) -> StatusAdmission:
        return StatusAdmission(
            self._workflow, status, limits, rates, self._fence, self._records, self._clock
        )

    def _limits(self) -> dict[int, FlowLimits]:
        """Return the limits that apply now, by the numbers of the statuses with flow control."""
        workflow = self._deployed()
        if workflow is None:
            return {}
        found = {number: workflow.limits_at(name) for name, number in workflow.statuses.items()}
        return {number: limits for number, limits in found.items() if limits is not None}

    def _without_flow(self) -> list[int]:
        """Return the numbers of the statuses that have functions and no flow control."""
        workflow = self._deployed()
        return [
            status
            for status in (() if workflow is None else workflow.statuses.values())
            if workflow is not None
            and consumer_group(self._workflow, status) in workflow.groups
            and status not in self._statuses
        ]

    def _deployed(self) -> DeployedWorkflow | None:
        for workflow in self._deployment.workflows:
            if workflow.name == self._workflow:
                return workflow
        return None

    async def _stored_rates(self) -> "defaultdict[int, Rates]":
        """Read what the rates of all statuses count."""
        stored: dict[int, list[SetAside]] = defaultdict(list)
        query = SetAsideQuery(group=admission_group(self._workflow))
        while page := await self._persist(partial(self._records.set_aside, query)):
            for entry in page:
                stored[int(entry.key.log)].append(entry)
            query = msgspec.structs.replace(query, after=page[-1].key)
        found = {status: Rates(entries) for status, entries in stored.items()}
        return defaultdict(Rates, found)

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)
