"""Removing a workflow from the deployment."""

from collections import Counter

import msgspec

from workflow_ray.client.deployed import find_deployed
from workflow_ray.errors import DeploymentConflict, RunsUnfinished
from workflow_ray.ports import Clock, RecordStore, SystemClock
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.hosting import own_groups
from workflow_ray.runtime.scaling import replace_in, wait_until_drained


async def undeploy(
    records: RecordStore, name: str, *, force: bool = False, clock: Clock | None = None
) -> DeployedWorkflow:
    """Remove a workflow from the deployment. Its roles stop; its runs and their history stay.

    The roles finish their work in hand, for DRAIN seconds. The removal fences off all of them at
    once, dead or alive. Nothing imports the workflow, so its module may be gone. Its settings
    (shard counts, digests of replaced code) are forgotten. Safe to repeat.

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
            return await _undeploy_once(records, name, force, clock or SystemClock())
        except DeploymentConflict:
            continue


async def _undeploy_once(
    records: RecordStore, name: str, force: bool, clock: Clock
) -> DeployedWorkflow:
    deployment = await records.deployment()
    workflow = find_deployed(deployment, name)
    if not force:
        await _check_finished(records, name)
    if groups := own_groups(workflow):
        draining = msgspec.structs.replace(workflow, draining=tuple(groups))
        deployment = await records.deploy(deployment.version, replace_in(deployment, draining))
        await wait_until_drained(records, groups, clock)
    await records.deploy(deployment.version, _without(deployment, name))
    return workflow


def _without(deployment: Deployment, name: str) -> list[DeployedWorkflow]:
    return [workflow for workflow in deployment.workflows if workflow.name != name]


async def _check_finished(records: RecordStore, name: str) -> None:
    """Raise RunsUnfinished if the workflow has unfinished runs."""
    unfinished = Counter[str]()
    for count in await records.counts(name):
        if not count.run_state.finished:
            unfinished[count.run_state.name] += count.runs
    if unfinished:
        raise RunsUnfinished(name, dict(unfinished))
