"""Limits of flow control that operators set. They need no definition: the deployment keeps them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from workflow_ray.client.deployed import find_deployed
from workflow_ray.definition import Rate
from workflow_ray.definition.flow import checked_limit, checked_rate, limit_per_key
from workflow_ray.errors import DeploymentConflict, InvalidInput, NoFlowControl
from workflow_ray.ports import RecordStore
from workflow_ray.records import DeployedWorkflow, FlowLimits, ParkedQuery
from workflow_ray.records import Rate as StoredRate

Unlimited: TypeAlias = Literal["unlimited"]
UNLIMITED: Unlimited = "unlimited"
NO_LIMIT = '"unlimited" for no limit'


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLimits:
    """The limits that apply at a status with flow control, and the runs that they concern.

    Args:
        status: The name of the status.
        concurrency: The most runs that hold a slot. None: no limit.
        concurrency_per_key: The most runs of one key that hold a slot. None: no limit.
        rate: The most runs that are admitted in a period. None: no limit.
        rate_per_key: The most runs of one key that are admitted in a period. None: no limit.
        set_by_operator: Whether an operator has set them. False: they are those of the code.
        admitted: The runs that hold a slot now.
        waiting: The unfinished runs at the status that hold none and are not paused.
    """

    status: str
    concurrency: int | None
    concurrency_per_key: int | None
    rate: Rate | None
    rate_per_key: Rate | None
    set_by_operator: bool
    admitted: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanges:
    """What an operator changes. None: it stays."""

    concurrency: int | Unlimited | None = None
    concurrency_per_key: int | Unlimited | None = None
    rate: Rate | Unlimited | None = None
    rate_per_key: Rate | Unlimited | None = None

    def check(self) -> None:
        """Raise InvalidInput if a change can't be used, or there is none."""
        if self == LimitChanges():
            raise InvalidInput(
                "limits", 'give one at least, e.g. concurrency=10, or concurrency="unlimited"'
            )
        self.onto(FlowLimits())

    def onto(self, limits: FlowLimits) -> FlowLimits:
        """Return the limits with these changes. Raises InvalidInput."""
        return FlowLimits(
            concurrency=_runs("concurrency", self.concurrency, limits.concurrency),
            concurrency_per_key=_runs(
                "concurrency_per_key", self.concurrency_per_key, limits.concurrency_per_key
            ),
            rate=_rate("rate", self.rate, limits.rate),
            rate_per_key=_rate("rate_per_key", self.rate_per_key, limits.rate_per_key),
        )


async def change_limits(
    records: RecordStore, workflow: str, status: str, changes: LimitChanges
) -> None:
    """Set limits of a status. Raises UnknownWorkflow, NoFlowControl, InvalidInput."""
    changes.check()

    def changed(deployed: DeployedWorkflow) -> dict[str, FlowLimits]:
        limits = deployed.limits_at(status)
        assert limits is not None, "it has flow control"
        after = changes.onto(limits)
        if not deployed.flow[status].keyed and (name := limit_per_key(after)):
            raise InvalidInput(
                name, f"the flow control of {status} has no key, so leave this limit out"
            )
        return {**deployed.limits, status: after}

    await _change(records, workflow, status, changed)


async def reset_limits(records: RecordStore, workflow: str, status: str) -> bool:
    """Let the limits of the code apply again. Returns whether others did before.

    Raises UnknownWorkflow, NoFlowControl.
    """

    def changed(deployed: DeployedWorkflow) -> dict[str, FlowLimits]:
        return {name: limits for name, limits in deployed.limits.items() if name != status}

    return await _change(records, workflow, status, changed)


async def read_limits(records: RecordStore, workflow: DeployedWorkflow) -> list[StatusLimits]:
    """Read the limits of a deployed workflow, by the numbers of the statuses."""
    active = dict.fromkeys(workflow.statuses.values(), 0)
    for count in await records.counts(workflow.name):
        if not count.run_state.at_rest:
            active[count.status] = active.get(count.status, 0) + count.runs
    return [
        await _status_limits(records, workflow, name, active[number])
        for name, number in sorted(workflow.statuses.items(), key=lambda each: each[1])
        if name in workflow.flow
    ]


async def _status_limits(
    records: RecordStore, workflow: DeployedWorkflow, status: str, active: int
) -> StatusLimits:
    limits = workflow.limits_at(status)
    assert limits is not None, "it has flow control"
    admitted = await admitted_at(records, workflow.name, workflow.statuses[status])
    return StatusLimits(
        status=status,
        concurrency=limits.concurrency,
        concurrency_per_key=limits.concurrency_per_key,
        rate=_public(limits.rate),
        rate_per_key=_public(limits.rate_per_key),
        set_by_operator=status in workflow.limits,
        admitted=admitted,
        waiting=max(active - admitted, 0),
    )


async def admitted_at(records: RecordStore, workflow: str, status: int) -> int:
    """Return how many runs hold a slot of the status."""
    query = ParkedQuery(workflow=workflow, status=status, keys=1, per_key=1)
    return (await records.parked(query)).admitted


async def _change(
    records: RecordStore,
    name: str,
    status: str,
    changed: Callable[[DeployedWorkflow], dict[str, FlowLimits]],
) -> bool:
    """Change the limits of a workflow. Returns whether they were others before."""
    while True:
        deployment = await records.deployment()
        current = find_deployed(deployment, name)
        if status not in current.flow:
            raise NoFlowControl(name, status, sorted(current.flow))
        after = msgspec.structs.replace(current, limits=changed(current))
        if after == current:
            return False
        workflows = [after if one is current else one for one in deployment.workflows]
        try:
            await records.deploy(deployment.version, workflows)
        except DeploymentConflict:
            continue
        return True


def _runs(name: str, change: object, before: int | None) -> int | None:
    if change is None:
        return before
    return None if change == UNLIMITED else checked_limit("limits", name, change, NO_LIMIT)


def _rate(name: str, change: object, before: StoredRate | None) -> StoredRate | None:
    if change is None:
        return before
    return None if change == UNLIMITED else checked_rate("limits", name, change, NO_LIMIT)


def _public(rate: StoredRate | None) -> Rate | None:
    return None if rate is None else Rate(rate.count, per=rate.seconds)
