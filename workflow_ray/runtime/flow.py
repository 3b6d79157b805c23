"""Flow control in a deployment: what the code says, and what stays when other code is deployed."""

import msgspec

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    DeployedFlow,
    DeployedWorkflow,
    ParkedQuery,
    Shape,
    admission_group,
)
from workflow_ray.runtime.hosting import AnyWorkflow


def with_flow(described: DeployedWorkflow, workflow: AnyWorkflow) -> DeployedWorkflow:
    """Return the workflow with its flow control, and the role that admits parked runs, if a status
    has flow control.
    """
    flow = {
        step.status.name: DeployedFlow(limits=step.flow.limits, keyed=step.flow.key is not None)
        for step in workflow.checked().steps
        if step.flow is not None
    }
    if not flow:
        return described
    return msgspec.structs.replace(
        described,
        groups={**described.groups, admission_group(workflow.name): 1},
        shape=msgspec.structs.replace(described.shape or Shape(), flow=flow),
    )


def with_flow_settings(before: DeployedWorkflow, workflow: DeployedWorkflow) -> DeployedWorkflow:
    """Return the workflow with the limits that an operator has set.

    The role that admits parked runs stays, because runs may be parked at statuses that have no flow
    control any more.
    """
    group = admission_group(workflow.name)
    groups = {**workflow.groups, group: 1} if group in before.groups else workflow.groups
    limits = {status: each for status, each in before.limits.items() if status in workflow.flow}
    return msgspec.structs.replace(workflow, groups=groups, limits=limits)


async def with_flow_of_runs(records: RecordStore, workflow: DeployedWorkflow) -> DeployedWorkflow:
    """Return a workflow that is not deployed with the role that admits parked runs, if it has runs
    that earlier code with flow control has left: it was removed while they were unfinished.
    """
    counts = await records.counts(workflow.name)
    if all(count.run_state.finished or not count.runs for count in counts):
        return workflow
    for status in workflow.statuses.values():
        query = ParkedQuery(workflow=workflow.name, status=status, keys=1, per_key=1)
        # runs that are paused do not count as parked, and may be parked when they go on
        if (await records.parked(query)).change:
            groups = {**workflow.groups, admission_group(workflow.name): 1}
            return msgspec.structs.replace(workflow, groups=groups)
    return workflow
