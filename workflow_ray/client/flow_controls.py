"""Shows and sets the limits of flow control of one workflow."""

from abc import ABC
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.flow_limits import (
    LimitChanges,
    StatusLimits,
    Unlimited,
    change_limits,
    read_limits,
    reset_limits,
)
from workflow_ray.client.inputs import checked_status
from workflow_ray.client.schedules import ScheduleControls
from workflow_ray.definition import Rate, Status

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class FlowControls(ScheduleControls[D, S], ABC, Generic[D, S]):
    """Shows and sets the limits of flow control of one workflow."""

    async def limits(self) -> list[StatusLimits]:
        """Return the limits that apply now at each status with flow control, and how many runs hold
        a slot there or wait for one.

        Raises:
            UnknownWorkflow: The workflow is not deployed.
        """
        deployed = find_deployed(await self._records.deployment(), self._workflow.name)
        return await read_limits(self._records, deployed)

    async def set_limits(
        self,
        status: S,
        *,
        concurrency: int | Unlimited | None = None,
        concurrency_per_key: int | Unlimited | None = None,
        rate: Rate | Unlimited | None = None,
        rate_per_key: Rate | Unlimited | None = None,
    ) -> None:
        """Set limits of a status while runs go on. The deployment keeps them, also when other code
        is deployed, until `reset_limits`.

        They apply to the next admissions. Runs that hold a slot keep it.

        Args:
            status: A status with flow control.
            concurrency: The most runs that hold a slot, or "unlimited". None: it stays as it is.
            concurrency_per_key: As `concurrency`, for the runs of one key.
            rate: The most runs that are admitted in a period, or "unlimited". None: it stays as it
                is. What was admitted while there was no rate is not counted.
            rate_per_key: As `rate`, for the runs of one key.

        Raises:
            NoFlowControl: The status has no flow control where the workflow is deployed.
            UnknownWorkflow: The workflow is not deployed.
            InvalidInput: An argument can't be used, or the status has no keys. Nothing was written.
        """
        changes = LimitChanges(
            concurrency=concurrency,
            concurrency_per_key=concurrency_per_key,
            rate=rate,
            rate_per_key=rate_per_key,
        )
        name = checked_status("status", self._workflow, status).name
        await change_limits(self._records, self._workflow.name, name, changes)

    async def reset_limits(self, status: S) -> None:
        """Let the limits of the code apply again, those of `FlowControl`.

        Args:
            status: A status with flow control.

        Raises:
            NoFlowControl: The status has no flow control where the workflow is deployed.
            UnknownWorkflow: The workflow is not deployed.
            InvalidInput: It is not a status of the workflow.
        """
        name = checked_status("status", self._workflow, status).name
        await reset_limits(self._records, self._workflow.name, name)
