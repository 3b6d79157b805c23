"""Pauses of schedules, which need no definition: the deployment keeps them."""

import msgspec

from workflow_ray.client.deployed import find_deployed
from workflow_ray.engine.schedules import offset_of
from workflow_ray.errors import DeploymentConflict, UnknownSchedule
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Position,
    WriteGroup,
    named_groups,
    scheduler_group,
)


async def pause_schedule(records: RecordStore, workflow: str, schedule: str) -> bool:
    """Pause a schedule. Returns whether it was not paused before.

    Raises UnknownWorkflow, UnknownSchedule.
    """
    while True:
        deployment = await records.deployment()
        current = _find(deployment, workflow, schedule)
        if schedule in current.paused:
            return False
        paused = tuple(sorted((*current.paused, schedule)))
        if await _is_deployed(records, deployment, current, paused):
            return True


async def resume_schedule(records: RecordStore, workflow: str, schedule: str) -> bool:
    """Let a schedule continue from now on. Returns whether it was paused before.

    Its position moves first, so that no scheduler takes the ticks of the pause for missed ones.
    Raises UnknownWorkflow, UnknownSchedule.
    """
    while True:
        deployment = await records.deployment()
        current = _find(deployment, workflow, schedule)
        if schedule not in current.paused:
            return False
        now = (await records.activity(limit=1)).now
        group = scheduler_group(workflow, schedule)
        position = Position(group=group, partition=0, offset=offset_of(now))
        await records.store([WriteGroup(positions=(position,))])
        paused = tuple(name for name in current.paused if name != schedule)
        if await _is_deployed(records, deployment, current, paused):
            return True


def _find(deployment: Deployment, name: str, schedule: str) -> DeployedWorkflow:
    workflow = find_deployed(deployment, name)
    if scheduler_group(name, schedule) not in workflow.groups:
        raise UnknownSchedule(name, schedule, schedules_in(workflow))
    return workflow


def schedules_in(workflow: DeployedWorkflow) -> list[str]:
    """Return the names of the schedules that a deployed workflow has."""
    return sorted(named_groups(workflow.groups, scheduler_group, workflow.name))


async def _is_deployed(
    records: RecordStore,
    deployment: Deployment,
    current: DeployedWorkflow,
    paused: tuple[str, ...],
) -> bool:
    """Change which schedules are paused. Returns whether nobody else has deployed meanwhile."""
    changed = msgspec.structs.replace(current, paused=paused)
    workflows = [changed if one is current else one for one in deployment.workflows]
    try:
        await records.deploy(deployment.version, workflows)
    except DeploymentConflict:
        return False
    return True
