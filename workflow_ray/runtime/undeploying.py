"""Removing a workflow from what should run."""

from collections import Counter

import msgspec

from workflow_ray.errors import DeploymentConflict, RunsUnfinished
from workflow_ray.ports import Clock, RecordStore, SystemClock
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.hosting import own_groups
from workflow_ray.runtime.scaling import deployed_as, drained, with_changed


async def undeploy(
    records: RecordStore, name: str, *, force: bool = False, clock: Clock | None = None
) -> DeployedWorkflow:
    """Remove a workflow from the deployment. Its roles stop; its runs and their history stay.

    The roles finish what they have in hand, for DRAIN seconds. The removal fences off all of them
    at once, dead or alive. Nothing imports the workflow: its module may be gone. What operators
    have set for it (shard counts, replaced code) is forgotten. Safe to repeat.

    Args:
        records: Where it is deployed.
        name: The workflow's.
        force: Remove it although it has unfinished runs. They go on once it is deployed again.
        clock: Default: the machine's.

    Returns:
        The workflow as it was deployed.

    Raises:
        UnknownWorkflow: It is not deployed there.
        RunsUnfinished: See `force`. Nothing was written.
    """
    while True:
        try:
            return await _undeployed(records, name, force, clock or SystemClock())
        except DeploymentConflict:
            continue


async def _undeployed(
    records: RecordStore, name: str, force: bool, clock: Clock
) -> DeployedWorkflow:
    deployment = await records.deployment()
    workflow = deployed_as(deployment, name)
    if not force:
        await _check_finished(records, name)
    if groups := own_groups(workflow):
        draining = msgspec.structs.replace(workflow, draining=tuple(groups))
        deployment = await records.deploy(deployment.version, with_changed(deployment, draining))
        await drained(records, groups, clock)
    await records.deploy(deployment.version, _without(deployment, name))
    return workflow


def _without(deployment: Deployment, name: str) -> list[DeployedWorkflow]:
    return [workflow for workflow in deployment.workflows if workflow.name != name]


async def _check_finished(records: RecordStore, name: str) -> None:
    """Raise RunsUnfinished where some run is neither completed nor cancelled."""
    unfinished = Counter[str]()
    for count in await records.counts(name):
        if not count.run_state.finished:
            unfinished[count.run_state.name] += count.runs
    if unfinished:
        raise RunsUnfinished(name, dict(unfinished))
