"""What a deploy changes for the roles that run."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.hosting import FOR_ALL
from workflow_ray.runtime.ray.state import Wanted, wanted_by

AS_ASKED = "as asked for"
"""The reason of a restart that the caller has asked for."""


class Change(StrEnum):
    """What a deploy does with a workflow's roles."""

    STARTED = "started"
    RESTARTED = "restarted"
    UNCHANGED = "unchanged"


class WorkflowChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy changes for one workflow."""

    workflow: str
    change: Change
    roles: tuple[str, ...]  # that are started or restarted; if none is, all of the workflow's
    why: str = ""  # the reason of the restart


def changes(
    before: Deployment, after: Deployment, workflows: Iterable[str], *, restart: bool
) -> list[WorkflowChange]:
    """Return what a deploy changes for each workflow that it named.

    Args:
        before: The deployment until now. Without workflows: nothing ran.
        after: The deployment from now on.
        workflows: The names of the workflows, all of them in `after`.
        restart: Whether their roles are restarted although nothing has changed.
    """
    old = {workflow.name: workflow for workflow in before.workflows}
    new = {workflow.name: workflow for workflow in after.workflows}
    ran = {one.name: one for one in wanted_by(before)}
    wanted = wanted_by(after)
    return [_change(old.get(name), new[name], ran, wanted, restart) for name in workflows]


def _change(
    old: DeployedWorkflow | None,
    new: DeployedWorkflow,
    ran: dict[str, Wanted],
    wanted: Iterable[Wanted],
    restart: bool,
) -> WorkflowChange:
    roles = [
        one
        for one in wanted
        if one.role is not None and one.role.group in new.groups and one.role.group not in FOR_ALL
    ]
    restarted = [one.name for one in roles if one.name in ran and (restart or ran[one.name] != one)]
    started = [one.name for one in roles if one.name not in ran]
    if old is not None and restarted:
        return WorkflowChange(
            workflow=new.name,
            change=Change.RESTARTED,
            roles=(*restarted, *started),
            why=_why(old, new),
        )
    if started:
        return WorkflowChange(workflow=new.name, change=Change.STARTED, roles=tuple(started))
    return WorkflowChange(
        workflow=new.name, change=Change.UNCHANGED, roles=tuple(one.name for one in roles)
    )


def _why(old: DeployedWorkflow, new: DeployedWorkflow) -> str:
    if old.code != new.code:
        return "its code has changed"
    if (old.reference, old.python_path) != (new.reference, new.python_path):
        return "its code has moved"
    if old.statuses != new.statuses:
        return "its statuses have changed"
    return AS_ASKED
