"""What a deploy changes in what runs."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.hosting import FOR_ALL
from workflow_ray.runtime.ray.state import Wanted, wanted_by

AS_ASKED = "as asked for"
"""Why roles are restarted that would go on otherwise."""


class Change(StrEnum):
    """What becomes of a workflow's roles."""

    STARTED = "started"
    RESTARTED = "restarted"
    UNCHANGED = "unchanged"


class WorkflowChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a deploy changes for one workflow."""

    workflow: str
    change: Change
    roles: tuple[str, ...]  # that are started or restarted; where nothing changes, those that go on
    why: str = ""  # they are restarted


def changes(
    before: Deployment, after: Deployment, workflows: Iterable[str], *, restart: bool
) -> list[WorkflowChange]:
    """What a deploy changes for each of the workflows that it named.

    Args:
        before: What ran until now. Without workflows: nothing ran.
        after: What should run now.
        workflows: Their names, all of them in `after`.
        restart: Roles of these workflows are restarted although nothing has changed.
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
